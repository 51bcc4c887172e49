import { TunnelError } from '../errors.ts'

/** Most bytes of an answer's head. */
const MAX_HEAD_BYTES = 32_768

/** Most bytes of the body of a refusal; beyond it the connection is not worth keeping. */
const MAX_BODY_BYTES = 262_144

/** The head of a proxy's answer to CONNECT (RFC 9112 section 4 and 5). */
export interface AnswerHead {
  readonly status: number
  /** For people; printable ASCII, at most 100 characters. */
  readonly reason: string
  /** All values of a header, by its name in lower case. */
  values(name: string): readonly string[]
}

/** What follows the head of an answer that is no success. */
export type Body =
  | { readonly kind: 'length'; readonly left: number }
  | { readonly kind: 'chunked' }
  /** It ends with the connection. */
  | { readonly kind: 'close' }

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: (.*))?$/
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/

/**
 * Takes a whole head off the front of `bytes`.
 * @returns undefined where it is not whole yet
 * @throws {TunnelError} PROXY_UNREACHABLE where it is no HTTP/1 or too long
 */
export function takeHead(
  bytes: Buffer,
): { readonly head: AnswerHead; readonly body: Body; readonly rest: Buffer } | undefined {
  const end = bytes.subarray(0, MAX_HEAD_BYTES).indexOf('\r\n\r\n')
  if (end < 0) {
    const isHttp = 'HTTP/1.'.startsWith(bytes.subarray(0, 7).toString('latin1'))
    if (!isHttp || bytes.length >= MAX_HEAD_BYTES) throw notHttp()
    return undefined
  }
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const [, minor, status, reason = ''] = STATUS_LINE.exec(first) ?? []
  if (status === undefined) throw notHttp()
  const headers = new Map<string, string[]>()
  for (const line of lines) {
    const [, name = '', value = ''] = HEADER.exec(line) ?? []
    const key = name.toLowerCase()
    headers.set(key, [...(headers.get(key) ?? []), value])
  }
  const head: AnswerHead = {
    status: Number(status),
    reason: printable(reason),
    values: (name) => headers.get(name) ?? [],
  }
  return { head, body: bodyOf(head, minor === '0'), rest: bytes.subarray(end + 4) }
}

function notHttp(): TunnelError {
  return new TunnelError('PROXY_UNREACHABLE', 'What answers there is no HTTP proxy.')
}

/** Text of a proxy that people will see. */
export function printable(text: string): string {
  return text.replaceAll(/[^ -~]/g, '?').slice(0, 100)
}

function bodyOf(head: AnswerHead, isOld: boolean): Body {
  const lists = [...head.values('connection'), ...head.values('proxy-connection')].join(',').toLowerCase()
  const options = lists.split(',').map((option) => option.trim())
  const staysOpen = !options.includes('close') && (!isOld || options.includes('keep-alive'))
  if (!staysOpen) return { kind: 'close' }
  const coding = head.values('transfer-encoding').join(',').toLowerCase()
  if (coding !== '') return coding === 'chunked' ? { kind: 'chunked' } : { kind: 'close' }
  const [length, ...others] = new Set(head.values('content-length'))
  if (length === undefined || others.length > 0 || !/^\d{1,9}$/.test(length)) return { kind: 'close' }
  return { kind: 'length', left: Number(length) }
}

/**
 * Skips the body of a refusal, so that the next answer on the connection can be read.
 * @returns the bytes behind it, or undefined where it is not over yet; `close` never is
 * @throws {TunnelError} PROXY_UNREACHABLE where it is too long or wrongly chunked
 */
export function skipBody(body: Body, bytes: Buffer): Buffer | undefined {
  if (bytes.length > MAX_BODY_BYTES) throw new TunnelError('PROXY_UNREACHABLE', 'Its refusal is too long.')
  if (body.kind === 'close') return undefined
  if (body.kind === 'length') return bytes.length < body.left ? undefined : bytes.subarray(body.left)
  return skipChunks(bytes)
}

/** RFC 9112 section 7.1. Begins anew with each call: refusals are short. */
function skipChunks(bytes: Buffer): Buffer | undefined {
  let at = 0
  for (;;) {
    const end = bytes.indexOf('\r\n', at)
    if (end < 0) return undefined
    const [size] = /^[0-9a-f]{1,6}(?=[ \t;]|$)/i.exec(bytes.subarray(at, end).toString('latin1')) ?? []
    if (size === undefined) throw new TunnelError('PROXY_UNREACHABLE', 'Its refusal is wrongly chunked.')
    if (Number.parseInt(size, 16) === 0) return skipTrailers(bytes, end + 2)
    at = end + 2 + Number.parseInt(size, 16) + 2
  }
}

function skipTrailers(bytes: Buffer, from: number): Buffer | undefined {
  for (let at = from; ; ) {
    const end = bytes.indexOf('\r\n', at)
    if (end < 0) return undefined
    if (end === at) return bytes.subarray(end + 2)
    at = end + 2
  }
}
