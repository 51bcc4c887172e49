import type { IncomingMessage } from 'node:http'
import { TunnelError } from '../errors.ts'
import { headerValues, type RawHeaders } from './headers.ts'

/** Fields of which a second one would be read by one server and ignored by the next. */
const AT_MOST_ONCE = ['authorization', 'content-length', 'host', 'proxy-authorization', 'transfer-encoding']
/** Origin form (RFC 9112 section 3.2.1), printable ASCII, no fragment. */
const ORIGIN_FORM = /^\/[\x21\x22\x24-\x7e]*$/
/** Methods that open a tunnel or echo a request with its credentials. */
const NEVER: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK'])

/**
 * What is wrong with a request that node's strict parser let through, or undefined. Everything that two servers
 * could read as two different requests is refused, never repaired (RFC 9112 section 11.2). The parser itself
 * has already refused bare CR and LF, NUL, obs-fold and lengths that are not plain decimals.
 */
export function requestFault(request: IncomingMessage, maxHeaders: number): TunnelError | undefined {
  if (request.rawHeaders.length > 2 * maxHeaders) {
    return new TunnelError('HTTP_HEADERS_TOO_LARGE', `More than ${maxHeaders} headers.`)
  }
  const detail = lineFault(request) ?? headerFault(request.rawHeaders) ?? framingFault(request)
  return detail === undefined ? undefined : new TunnelError('HTTP_BAD_REQUEST', detail)
}

function lineFault(request: IncomingMessage): string | undefined {
  if (request.httpVersion !== '1.1' && request.httpVersion !== '1.0') return 'Only HTTP/1.1 and HTTP/1.0.'
  if (NEVER.has(request.method ?? '')) return 'CONNECT, TRACE and TRACK are not served.'
  if (!ORIGIN_FORM.test(request.url ?? '')) return 'The request target must be a path that starts with "/".'
  return undefined
}

function headerFault(raw: RawHeaders): string | undefined {
  const repeated = AT_MOST_ONCE.find((name) => headerValues(raw, name).length > 1)
  if (repeated !== undefined) return `More than one ${repeated} header.`
  const [host = ''] = headerValues(raw, 'host')
  return host === '' ? 'The Host header is missing.' : undefined
}

function framingFault(request: IncomingMessage): string | undefined {
  const [coding] = headerValues(request.rawHeaders, 'transfer-encoding')
  const [length] = headerValues(request.rawHeaders, 'content-length')
  if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) return 'Content-Length is not a plain number.'
  if (coding === undefined) return undefined
  if (length !== undefined) return 'Both Content-Length and Transfer-Encoding.'
  if (coding.toLowerCase() !== 'chunked') return 'Transfer-Encoding is not exactly "chunked".'
  return request.httpVersion === '1.1' ? undefined : 'Transfer-Encoding needs HTTP/1.1.'
}
