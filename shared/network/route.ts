import { TunnelError } from '../errors.ts'
import { parseHost } from '../policy/host.ts'
import { Secret } from '../secret.ts'
import { formatHostPort, parsePort } from '../wire/host-port.ts'

/** What is to be reached: in the end always a relay. */
export interface Target {
  /** DNS name in lower case, or an IP address without brackets. */
  readonly host: string
  /** 1 to 65535. */
  readonly port: number
}

/** One way to a target. A route holds no credentials, so it may be shown and logged. */
export type Route =
  | { readonly kind: 'direct' }
  /** `http`: CONNECT in clear. `https`: CONNECT inside TLS to the proxy. `socks5`: RFC 1928. */
  | { readonly kind: 'http' | 'https' | 'socks5'; readonly host: string; readonly port: number }

/** A route through somebody. */
export type ProxyRoute = Exclude<Route, { kind: 'direct' }>

/** What a proxy asks for. */
export interface ProxyCredentials {
  /** 1 to 255 characters; may be DOMAIN\user or user@domain. */
  readonly user: string
  readonly password: Secret<string>
}

/** A proxy as a setting names it. */
export interface ProxySetting {
  readonly route: ProxyRoute
  /** Only where the URL had them. */
  readonly credentials?: ProxyCredentials
}

/** Longest URL of a proxy in characters. */
export const PROXY_URL_MAX_LENGTH = 1_024

const DEFAULT_PORTS = { http: 80, https: 443, socks5: 1080 } as const
const SCHEMES: Readonly<Record<string, ProxyRoute['kind']>> = {
  http: 'http',
  https: 'https',
  socks: 'socks5',
  socks5: 'socks5',
  socks5h: 'socks5',
}
const FORM = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:([^@/?#]*)@)?(\[[0-9a-fA-F:.]+\]|[^:@/?#[\]]+)(?::(\d+))?\/?$/i

/**
 * Reads the URL of a proxy: `http://`, `https://`, `socks5://` (also `socks5h://`, the same: names are always resolved at
 * the proxy), or HOST:PORT for an HTTP proxy. Not by `URL`, whose errors quote the text with its password.
 *
 * @throws {TunnelError} CONFIG; the text never says what stood in the URL
 */
export function parseProxyUrl(text: string): ProxySetting {
  const [, scheme = 'http', userinfo, hostText = '', portText] =
    text.length <= PROXY_URL_MAX_LENGTH ? (FORM.exec(text) ?? []) : []
  const kind = SCHEMES[scheme.toLowerCase()]
  const host = parseHost(hostText.replace(/^\[|\]$/g, ''))
  if (kind === undefined || !host.ok) throw wrongUrl()
  const port = portText === undefined ? DEFAULT_PORTS[kind] : parsePort(portText)
  if (port === undefined) throw wrongUrl()
  const route: ProxyRoute = { kind, host: host.value.text, port }
  return userinfo === undefined ? { route } : { route, credentials: parseUserinfo(userinfo) }
}

function wrongUrl(): TunnelError {
  return new TunnelError('CONFIG', 'A proxy is http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT.')
}

function parseUserinfo(userinfo: string): ProxyCredentials {
  const colon = userinfo.indexOf(':')
  try {
    const user = decodeURIComponent(colon < 0 ? userinfo : userinfo.slice(0, colon))
    const password = decodeURIComponent(colon < 0 ? '' : userinfo.slice(colon + 1))
    return checkedCredentials(user, password)
  } catch {
    // Without the cause, which may quote the text.
    throw new TunnelError('CONFIG', 'The user or the password in the URL of the proxy is not right.')
  }
}

/**
 * Reads USER:PASSWORD, one line, as a credentials file holds it. The user ends at the first colon.
 * @throws {TunnelError} CONFIG; the text says nothing of the content
 */
export function parseProxyCredentials(text: string): ProxyCredentials {
  const line = text.replace(/\r?\n$/, '')
  const colon = line.indexOf(':')
  if (colon < 0) throw wrongCredentials()
  return checkedCredentials(line.slice(0, colon), line.slice(colon + 1))
}

function checkedCredentials(user: string, password: string): ProxyCredentials {
  const isRight =
    user !== '' &&
    user.length <= 255 &&
    password.length <= 1_024 &&
    !hasControl(user) &&
    !hasControl(password)
  if (!isRight) throw wrongCredentials()
  return { user, password: new Secret(password) }
}

/** A line break in a user or a password would be a header of its own. */
function hasControl(text: string): boolean {
  for (const char of text) if (char < ' ' || char === '\u007f') return true
  return false
}

function wrongCredentials(): TunnelError {
  return new TunnelError('CONFIG', 'The credentials for the proxy are one line, USER:PASSWORD.', {
    leg: 'local',
    next: 'mend the file of --proxy-credentials-file',
  })
}

/** A route for people and logs: `direct`, `http://proxy.corp.example:3128`. */
export function formatRoute(route: Route): string {
  return route.kind === 'direct' ? 'direct' : `${route.kind}://${formatHostPort(route.host, route.port)}`
}
