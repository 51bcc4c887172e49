import type { IncomingMessage } from 'node:http'

/** Header names and values in turn, as node:http gives and takes them: case, order and repeats are kept. */
export type RawHeaders = readonly string[]

/** Meant for one connection only (RFC 9110 section 7.6.1), or written anew by this side. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Fields that change framing, routing, identity or meaning, and so never pass as trailers (RFC 9110 section 6.5.1). */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'cookie',
  'host',
  'set-cookie',
])

/**
 * The name as the least careful reader sees it: CGI and WSGI turn both "-" and "_" into "_", so
 * `X_Forwarded_For` would otherwise pass for the header that we set.
 */
function foldName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-')
}

/** Every value of `name` (lower case), in order. */
export function headerValues(raw: RawHeaders, name: string): string[] {
  const values: string[] = []
  for (const [key, value] of pairs(raw)) if (key.toLowerCase() === name) values.push(value)
  return values
}

/** Names and values of `raw`, two by two. */
function* pairs(raw: RawHeaders): Generator<[name: string, value: string]> {
  for (let i = 0; i + 1 < raw.length; i += 2) yield [raw[i] ?? '', raw[i + 1] ?? '']
}

/**
 * The headers that go beyond this hop: without the hop-by-hop ones, those that `Connection` names, and those
 * that `withheld` (given folded names) holds back. What this side adds comes behind, so that no `Connection`
 * header can take it away again.
 */
export function endToEnd(raw: RawHeaders, withheld: (name: string) => boolean): string[] {
  const named = namedByConnection(raw)
  const kept: string[] = []
  for (const [name, value] of pairs(raw)) {
    const folded = foldName(name)
    if (HOP_BY_HOP.has(folded) || named.has(folded) || withheld(folded)) continue
    kept.push(name, value)
  }
  return kept
}

/** The trailer fields that may pass, as pairs for `addTrailers`. */
export function endToEndTrailers(raw: RawHeaders, withheld: (name: string) => boolean): [string, string][] {
  const kept: [string, string][] = []
  for (const [name, value] of pairs(raw)) {
    const folded = foldName(name)
    if (!HOP_BY_HOP.has(folded) && !NOT_IN_TRAILERS.has(folded) && !withheld(folded)) kept.push([name, value])
  }
  return kept
}

function namedByConnection(raw: RawHeaders): Set<string> {
  const named = new Set<string>()
  for (const [name, value] of pairs(raw)) {
    if (!/^(?:proxy-)?connection$/i.test(name)) continue
    for (const token of value.split(',')) named.add(foldName(token.trim()))
  }
  return named
}

export interface RequestHeaderOptions {
  /** Headers this side answers for; the sender's of the same folded name are dropped. */
  readonly set: RawHeaders
  /** True for folded names of the sender that must not pass. */
  readonly withheld: (name: string) => boolean
  /** True for a WebSocket handshake. */
  readonly upgrade: boolean
}

/** The header section of a request for the next hop. `request` has passed `requestFault`. */
export function requestHeaders(request: IncomingMessage, options: RequestHeaderOptions): string[] {
  const own = new Set<string>()
  for (const [name] of pairs(options.set)) own.add(foldName(name))
  const kept = endToEnd(request.rawHeaders, (name) => own.has(name) || options.withheld(name))
  const head = [...options.set, ...kept, ...requestFraming(request)]
  if (options.upgrade) return [...head, 'Connection', 'Upgrade', 'Upgrade', 'websocket']
  if (wantsContinue(request)) head.push('Expect', '100-continue')
  const takesTrailers = headerValues(request.rawHeaders, 'te').some((value) =>
    /(^|,)\s*trailers\b/i.test(value),
  )
  // One exchange a connection: nothing that a target sends too early can meet somebody else's request.
  if (takesTrailers) return [...head, 'TE', 'trailers', 'Connection', 'close, TE']
  return [...head, 'Connection', 'close']
}

/** True where the sender waits for 100 before it sends the body. */
export function wantsContinue(request: IncomingMessage): boolean {
  return request.httpVersion === '1.1' && request.headers.expect?.toLowerCase() === '100-continue'
}

/** True where a body follows, be it an empty one. */
export function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || request.headers['content-length'] !== undefined
}

/** The framing is stated anew and always explicitly, so that node:http never guesses it from the method. */
function requestFraming(request: IncomingMessage): string[] {
  if (request.headers['transfer-encoding'] !== undefined) {
    return ['Transfer-Encoding', 'chunked', ...announcedTrailers(request)]
  }
  const length = request.headers['content-length']
  if (length !== undefined) return ['Content-Length', length]
  return /^(?:POST|PUT|PATCH)$/.test(request.method ?? '') ? ['Content-Length', '0'] : []
}

/** The header section of an answer for the previous hop, which sent `request`. */
export function answerHeaders(request: IncomingMessage, answer: IncomingMessage): string[] {
  const kept = endToEnd(answer.rawHeaders, () => false)
  const status = answer.statusCode ?? 0
  if (status === 204 || status === 101) return kept
  const length = answer.headers['content-length']
  if (length !== undefined) return [...kept, 'Content-Length', length]
  const isChunked = request.httpVersion === '1.1' && request.method !== 'HEAD' && status !== 304
  // Without a length node:http frames by chunks, and for HTTP/1.0 by closing.
  return isChunked ? [...kept, ...announcedTrailers(answer)] : kept
}

function announcedTrailers(message: IncomingMessage): string[] {
  const values = headerValues(message.rawHeaders, 'trailer')
  return values.length === 0 ? [] : ['Trailer', values.join(', ')]
}
