import type { IncomingMessage } from 'node:http'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { headerValues } from '../../shared/http/headers.ts'
import { type Trace, traceOf } from '../../shared/http/trace.ts'
import { parseHost } from '../../shared/policy/host.ts'
import { sourceAddress } from '../../shared/tunnel/source-address.ts'
import { parsePort } from '../../shared/wire/host-port.ts'

/** What one parse of a request gives; routing, records and headers all read this and nothing else. */
export interface RequestContext {
  /** Canonical host of the one authority, without a port. */
  readonly host: string
  /** Host as the client sent it, for the next hop. */
  readonly authority: string
  readonly scheme: 'http' | 'https'
  /** Whose connection it is: never from a header of the request. */
  readonly client: string
  readonly trace: Trace
}

/** HOST or HOST:PORT; IPv6 in brackets (RFC 3986 section 3.2.2). No userinfo, no trailing dot. */
const AUTHORITY = /^(?:\[(?<ip>[0-9a-f:.]+)\]|(?<name>[^:[\]@]*[^:[\]@.]))(?::(?<port>[0-9]+))?$/i

/**
 * Reads a Host header.
 * @returns the canonical host, or undefined where it is not a plain authority
 */
export function hostOf(authority: string): string | undefined {
  const { ip, name, port } = AUTHORITY.exec(authority)?.groups ?? {}
  if (port !== undefined && parsePort(port) === undefined) return undefined
  const host = parseHost(ip ?? name ?? '')
  return host.ok ? host.value.text : undefined
}

/**
 * The context of a request that has passed `requestFault`.
 * @throws {TunnelError} HTTP_BAD_REQUEST for a Host that is no plain authority; HTTP_MISDIRECTED where TLS was
 * asked for another name (RFC 9110 section 7.4): the certificate checked and the site reached must be one.
 */
export function requestContext(
  request: IncomingMessage,
  effects: Pick<Effects, 'randomBytes'>,
): RequestContext {
  const [authority = ''] = headerValues(request.rawHeaders, 'host')
  const host = hostOf(authority)
  if (host === undefined)
    throw new TunnelError('HTTP_BAD_REQUEST', 'The Host header is not HOST or HOST:PORT.')
  const { encrypted, servername } = tlsOf(request)
  if (typeof servername === 'string' && servername !== '' && servername.toLowerCase() !== host) {
    throw new TunnelError('HTTP_MISDIRECTED')
  }
  const scheme = encrypted === true ? 'https' : 'http'
  return Object.freeze({
    host,
    authority,
    scheme,
    client: sourceAddress(request.socket),
    trace: traceOf(request, effects),
  })
}

/** `servername` is false where the client sent no SNI. */
function tlsOf(request: IncomingMessage): { encrypted?: boolean; servername?: string | false } {
  return request.socket as { encrypted?: boolean; servername?: string | false }
}
