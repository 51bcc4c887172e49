import { lookup as systemLookup } from 'node:dns/promises'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { type AddressClass, type Canonical, canonicalAddress, classOf } from '../../shared/policy/address.ts'

/** Limits of one request to an identity provider. */
export const FETCH_LIMITS = { bodyBytes: 512 * 1024, headerBytes: 16 * 1024, timeoutMs: 10_000 } as const

/** What a host that the operator has named may be, beside global. Metadata services are never asked. */
const INSIDE: ReadonlySet<AddressClass> = new Set(['global', 'private', 'loopback', 'link-local'])
const OUTSIDE: ReadonlySet<AddressClass> = new Set(['global'])

/** All addresses of a name, as the system's resolver gives them. */
export type Resolve = (host: string) => Promise<readonly string[]>

const resolveBySystem: Resolve = async (host) =>
  (await systemLookup(host, { all: true, verbatim: true })).map(({ address }) => address)

export interface GuardOptions {
  readonly effects: Pick<Effects, 'after'>
  /** Hosts that the relay's operator lets be inside, in lower case; every other one has to be on the open Internet. */
  readonly insideHosts: ReadonlySet<string>
  /** CA to trust in the place of the public ones, as PEM. */
  readonly ca?: string | undefined
  /** Stands in for the system's resolver in tests. */
  readonly resolve?: Resolve | undefined
}

export interface GuardedRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>> | Headers
  /** Text or form; anything else is refused. */
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

/** Fetches by HTTPS: no redirect is followed, no address inside is reached, and nothing takes long or gets large. */
export type GuardedFetch = (url: string, request?: GuardedRequest) => Promise<Response>

/**
 * A fetch for addresses that somebody has typed in, or that an answer from outside names: it must not become a way into the
 * network of the relay. The name is resolved once, every address is looked at as an agent does with targets, and only
 * these are connected to, so a name that changes its mind between check and use gains nothing.
 *
 * The fetch throws {@link TunnelError} IDENTITY_PROVIDER, saying what is wrong with which host.
 */
export function guardedFetch(options: GuardOptions): GuardedFetch {
  return async (text, request = {}) => {
    const url = new URL(text)
    if (url.protocol !== 'https:') throw refusal(url, 'is not reached by HTTPS')
    const addresses = await passedAddresses(url, options)
    try {
      return await send(url, addresses, request, options)
    } catch (cause) {
      if (isTunnelError(cause)) throw cause
      const { code, message } = cause as NodeJS.ErrnoException
      throw refusal(url, `cannot be reached: ${code ?? message}`, cause)
    }
  }
}

/** The addresses to connect to. All of them have to pass: one bad one is a trick or a mistake. */
async function passedAddresses(url: URL, options: GuardOptions): Promise<readonly Canonical[]> {
  const { insideHosts, resolve = resolveBySystem } = options
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const texts =
    isIP(host) === 0
      ? await resolve(host).catch((cause: unknown) => {
          throw refusal(url, 'has no address', cause)
        })
      : [host]
  const allowed = insideHosts.has(host) ? INSIDE : OUTSIDE
  const addresses = texts.map((text) => canonicalAddress(text))
  const good = addresses.filter((one) => one !== undefined)
  if (good.length === 0 || good.length < addresses.length) throw refusal(url, 'has no address')
  const bad = good.find(({ ip }) => !allowed.has(classOf(ip)))
  if (bad !== undefined) {
    throw refusal(url, `is at ${bad.text}, which is ${classOf(bad.ip)}`, undefined, {
      next: 'where it is meant: sallyport relay up --sso-inside HOST',
    })
  }
  return good
}

function send(
  url: URL,
  addresses: readonly Canonical[],
  { method = 'GET', headers = {}, body, signal }: GuardedRequest,
  { effects, ca }: GuardOptions,
): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>()
  const text = bodyText(body)
  const plain = Object.fromEntries(headers instanceof Headers ? headers : Object.entries(headers))
  const request = https.request(url, {
    method,
    headers: { ...plain, 'content-length': Buffer.byteLength(text), 'accept-encoding': 'identity' },
    lookup: pinned(addresses),
    maxHeaderSize: FETCH_LIMITS.headerBytes,
    // No connection is kept: one that is open would be used without a look at where it leads.
    agent: false,
    ...(ca === undefined ? {} : { ca }),
    ...(signal === undefined ? {} : { signal }),
  })
  const cancel = effects.after(FETCH_LIMITS.timeoutMs, () =>
    request.destroy(new Error(`no answer within ${FETCH_LIMITS.timeoutMs} ms`)),
  )
  request.once('error', reject)
  request.once('response', (response) => {
    const chunks: Buffer[] = []
    let length = 0
    response.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= FETCH_LIMITS.bodyBytes) chunks.push(chunk)
      else request.destroy(new Error(`answered more than ${FETCH_LIMITS.bodyBytes} bytes`))
    })
    response.once('error', reject)
    response.once('end', () => {
      const { statusCode = 502, headers: answered } = response
      const type = answered['content-type'] ?? ''
      const isEmpty = statusCode === 204 || statusCode === 304 || length === 0
      resolve(
        new Response(isEmpty ? null : Buffer.concat(chunks), {
          status: statusCode,
          headers: { 'content-type': type },
        }),
      )
    })
  })
  request.end(text)
  return promise.finally(cancel)
}

/** For node's connect: the addresses that were looked at, whatever the name says by now. */
function pinned(addresses: readonly Canonical[]): LookupFunction {
  const all = addresses.map(({ dial }) => ({ address: dial, family: isIP(dial) }))
  return (_host, options, callback) => {
    if (options.all === true) callback(null, all)
    else callback(null, all[0]?.address ?? '', all[0]?.family ?? 4)
  }
}

function bodyText(body: unknown): string {
  if (body === undefined || body === null) return ''
  if (typeof body === 'string' || body instanceof URLSearchParams) return String(body)
  throw new TypeError('A body is text or a form.')
}

function refusal(url: URL, what: string, cause?: unknown, options: { next?: string } = {}): TunnelError {
  return new TunnelError('IDENTITY_PROVIDER', `${url.host} ${what}.`, { cause, ...options })
}
