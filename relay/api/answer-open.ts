import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { parseInput } from '../operations/run.ts'
import { cookiesOf } from './evidence.ts'
import { type Exchange, readInput, watch } from './exchange.ts'
import type { HtmlPage, OpenAnswer, OpenRequest, OpenRoute } from './open-route.ts'
import { ANSWER_HEADERS, keepOrClose } from './send.ts'

/** Answers who has not proved who it is; the connection ends then. @throws {TunnelError} what the route refuses with */
export async function answerOpen(
  exchange: Exchange,
  route: OpenRoute,
  { caller, presented }: Pick<OpenRequest<unknown>, 'caller' | 'presented'>,
): Promise<void> {
  const { request, relay, origin, limits } = exchange
  const input = parseInput(route.input, await readInput(exchange, route))
  const watched = watch(exchange, limits.operationMs)
  const { signal } = watched
  const answer = route.answer({
    relay,
    input,
    origin,
    caller,
    presented,
    cookies: cookiesOf(request),
    signal,
  })
  answer.catch(() => undefined)
  send(exchange, route, await Promise.race([answer, watched.late]).finally(watched.done))
}

function send({ response }: Exchange, route: OpenRoute, answer: OpenAnswer<object>): void {
  const { status = 200, body, html, xml, location, challenge, cookies = [] } = answer
  keepOrClose(response, false)
  if (cookies.length > 0) response.setHeader('Set-Cookie', [...cookies])
  if (challenge !== undefined) response.setHeader('WWW-Authenticate', challenge)
  if (location !== undefined) response.setHeader('Location', location)
  for (const [name, value] of Object.entries(ANSWER_HEADERS)) response.setHeader(name, value)
  if (html !== undefined) response.setHeader('Content-Security-Policy', contentPolicy(html))
  const text =
    html?.text ?? xml ?? (body === undefined ? '' : `${JSON.stringify(v.parse(route.output, body))}\n`)
  if (text !== '') response.setHeader('Content-Type', typeOf(answer))
  response.setHeader('Content-Length', Buffer.byteLength(text))
  response.writeHead(status).end(text)
}

/** A page loads nothing, is framed nowhere, and runs the one script that was meant to run: it is named by its hash. */
function contentPolicy({ script }: HtmlPage): string {
  const hash = script === undefined ? undefined : createHash('sha256').update(script).digest('base64')
  const scripts = hash === undefined ? "'none'" : `'sha256-${hash}'`
  return `default-src 'none'; script-src ${scripts}; base-uri 'none'; frame-ancestors 'none'`
}

function typeOf({ html, xml }: OpenAnswer<object>): string {
  if (html !== undefined) return 'text/html; charset=utf-8'
  return xml === undefined ? 'application/json' : 'application/samlmetadata+xml'
}
