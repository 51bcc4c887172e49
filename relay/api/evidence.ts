import type { IncomingMessage } from 'node:http'
import { TunnelError } from '../../shared/errors.ts'
import { headerValues } from '../../shared/http/headers.ts'
import { Secret } from '../../shared/secret.ts'
import { type Presented, type RequestOrigin, SESSION_COOKIE } from './caller.ts'

/** A page has to send it with every change: other sites cannot, without asking by a preflight that is never granted. */
const REQUEST_HEADER = 'x-sallyport-request'

const COOKIE_NAME = /^__Host-sallyport[a-z-]*$/
const COOKIE_VALUE = /^[\w-]{1,4096}$/
/** No operation takes Basic: it is there for clients that ask for a token. */
const SCHEMES = ['bearer', 'basic'] as const
const TOKEN = /^[\w.~+/=-]{1,4096}$/

/** The cookies that are ours, by name. @throws {TunnelError} LOGIN where one comes twice or has no form */
export function cookiesOf(request: IncomingMessage): ReadonlyMap<string, Secret<string>> {
  const cookies = new Map<string, Secret<string>>()
  for (const part of headerValues(request.rawHeaders, 'cookie').join(';').split(';')) {
    const at = part.indexOf('=')
    const name = part.slice(0, Math.max(at, 0)).trim()
    if (!COOKIE_NAME.test(name)) continue
    const value = part.slice(at + 1).trim()
    if (cookies.has(name) || !COOKIE_VALUE.test(value))
      throw new TunnelError('LOGIN', 'The cookies are not right.')
    cookies.set(name, new Secret(value))
  }
  return cookies
}

/** What a request shows of who sends it; undefined for nothing. @throws {TunnelError} LOGIN where it shows two, or none with a form */
export function presentedBy(request: IncomingMessage, origin: RequestOrigin): Presented | undefined {
  const session = cookiesOf(request).get(SESSION_COOKIE)
  const [authorization, second] = headerValues(request.rawHeaders, 'authorization')
  if (authorization === undefined) {
    return session === undefined ? undefined : { kind: 'cookie', secret: session, origin }
  }
  if (second !== undefined || session !== undefined) {
    throw new TunnelError('LOGIN', 'Show a session or a token, and one only.')
  }
  const [scheme = '', token = '', more] = authorization.split(' ')
  const kind = SCHEMES.find((known) => known === scheme.toLowerCase())
  if (kind === undefined || more !== undefined || !TOKEN.test(token)) {
    throw new TunnelError('LOGIN', 'Authorization takes Bearer and a token.')
  }
  return { kind, secret: new Secret(token), origin }
}

/**
 * Refuses what a page of another site makes a browser send. A browser adds a cookie by itself, and `Origin` and
 * `Sec-Fetch-Site` cannot be written by pages; `SameSite=Strict` keeps most of it away already.
 *
 * @param own `https://HOST[:PORT]` as the request itself names this relay
 * @throws {TunnelError} FOREIGN_ORIGIN
 */
export function refuseForeignPage(request: IncomingMessage, own: string, hasCookie: boolean): void {
  const { origin, 'sec-fetch-site': site = 'same-origin' } = request.headers
  if (origin !== undefined && origin !== own) throw new TunnelError('FOREIGN_ORIGIN')
  if (!hasCookie) return
  if (site !== 'same-origin' && site !== 'none') throw new TunnelError('FOREIGN_ORIGIN')
  if (request.method === 'GET' || request.method === 'HEAD') return
  if (origin === undefined || request.headers[REQUEST_HEADER] !== '1') {
    throw new TunnelError('FOREIGN_ORIGIN', `A page sends Origin, and ${REQUEST_HEADER} with 1.`)
  }
}
