import { once } from 'node:events'
import { TunnelError } from '../../shared/errors.ts'
import { admit } from '../operations/run.ts'
import type { ApiCaller } from './caller.ts'
import { type Exchange, readInput, watch } from './exchange.ts'
import { ANSWER_HEADERS, keepOrClose } from './send.ts'
import type { StreamRoute } from './stream-route.ts'

/** How often it is asked again whether the caller may still listen, in ms: what is taken away ends within 5 s. */
const CHECK_MS = 4_000

export interface Listener {
  readonly caller: ApiCaller
  /** Asks once more who it is. @throws {TunnelError} LOGIN where the session or token has ended */
  authenticate(): Promise<ApiCaller>
  /** Streams that each caller has open. */
  readonly streams: Map<string, number>
}

/** Answers by a stream, for as long as both sides want and the caller may. @throws {TunnelError} before the first part */
export async function answerStream(
  exchange: Exchange,
  route: StreamRoute,
  listener: Listener,
): Promise<void> {
  const { relay, origin, limits } = exchange
  const params = resumed(route, await readInput(exchange, route), exchange.request.headers['last-event-id'])
  exchange.onAsked()
  const watched = watch(exchange, undefined)
  const asking = { relay, source: origin.source, traceId: origin.traceId, signal: watched.signal }
  const { context, input } = await admit(route, { ...asking, caller: listener.caller }, params)
  const leave = enter(listener, limits)
  const check = async () => admit(route, { ...asking, caller: await listener.authenticate() }, params)
  const cancel = recheck(exchange, listener.caller.tenantId, check)
  try {
    await write(exchange, route, route.run(context, input))
  } finally {
    cancel()
    leave()
    watched.done()
  }
}

/** What was asked for, from where the listener left off. */
function resumed(
  { lastEventId }: StreamRoute,
  params: unknown,
  last: string | string[] | undefined,
): unknown {
  const isNumber = typeof last === 'string' && /^\d{1,15}$/.test(last)
  if (lastEventId === undefined || !isNumber || typeof params !== 'object') return params
  return { ...params, [lastEventId]: Number(last) }
}

/** @throws {TunnelError} OVERLOADED */
function enter({ caller, streams }: Listener, limits: Exchange['limits']): () => void {
  const key = `${caller.tenantId} ${caller.kind} ${caller.id}`
  const open = streams.get(key) ?? 0
  const all = [...streams.values()].reduce((sum, count) => sum + count, 0)
  if (open >= limits.streamsPerCaller || all >= limits.streams) {
    throw new TunnelError('OVERLOADED', 'Too many streams are open.')
  }
  streams.set(key, open + 1)
  return () => {
    const left = (streams.get(key) ?? 1) - 1
    if (left > 0) streams.set(key, left)
    else streams.delete(key)
  }
}

/** Breaks the answer off where the check fails: asked from time to time, and after changes in the tenant of the caller. */
function recheck(
  { relay, response, effects }: Exchange,
  tenantId: string,
  check: () => Promise<unknown>,
): () => void {
  const look = () =>
    check().then(
      () => undefined,
      () => void response.destroy(),
    )
  let cancel = effects.after(CHECK_MS, run)
  const leave = relay.enforcement.listeners.add(tenantId, look)
  let isOver = false
  function run() {
    void look().then(() => {
      if (!isOver) cancel = effects.after(CHECK_MS, run)
    })
  }
  return () => {
    isOver = true
    cancel()
    leave()
  }
}

async function write(
  { request, response, visit }: Exchange,
  route: StreamRoute,
  parts: AsyncIterable<string | Uint8Array>,
): Promise<void> {
  const begin = () => {
    keepOrClose(response, false)
    // Until its end the connection is no longer one that has proved nothing.
    if (!visit.stay()) throw new TunnelError('OVERLOADED', 'Too many connections at once.')
    response.writeHead(200, { ...ANSWER_HEADERS, 'content-type': route.type })
    if (route.type === 'text/event-stream') response.flushHeaders()
  }
  if (request.method === 'HEAD' || route.type === 'text/event-stream') begin()
  if (request.method !== 'HEAD') {
    for await (const part of parts) {
      if (!response.headersSent) begin()
      if (!response.write(part)) await Promise.race([once(response, 'drain'), once(response, 'close')])
      if (response.destroyed) return
    }
  }
  if (!response.headersSent) begin()
  response.end()
}
