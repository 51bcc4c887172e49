import type { ServerResponse } from 'node:http'
import { etagOf, namesTag } from './etag.ts'
import type { Exchange } from './exchange.ts'

/**
 * With every answer: nothing is kept by the way, taken for another type, framed, or read by another site. There is no
 * CORS header, so a page of another site can read nothing.
 */
export const ANSWER_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  // Not for the names below: what else there is under them is not ours to decide.
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
} as const

/**
 * Sends JSON. A GET gets the tag of what it reads, and nothing but that where it has it already.
 * @param stays keeps the connection for further requests
 */
export function sendBody({ request, response, visit }: Exchange, body: string, stays: boolean): void {
  keepOrClose(response, stays && visit.stay())
  const headers: Record<string, string | number> = { ...ANSWER_HEADERS }
  if (request.method === 'GET' || request.method === 'HEAD') {
    headers.etag = etagOf(body)
    const known = request.headers['if-none-match']
    if (known !== undefined && namesTag(known, headers.etag, true)) {
      response.writeHead(304, headers).end()
      return
    }
  }
  headers['content-type'] = 'application/json'
  headers['content-length'] = Buffer.byteLength(body)
  response.writeHead(200, headers).end(body)
}

/** Who has proved nothing may not stay. */
export function keepOrClose(response: ServerResponse, isKept: boolean): void {
  if (!isKept) response.setHeader('Connection', 'close')
}
