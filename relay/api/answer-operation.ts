import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import type { Operation } from '../operations/operation.ts'
import { admit, runOperation } from '../operations/run.ts'
import type { ApiCaller } from './caller.ts'
import { etagOf, namesTag } from './etag.ts'
import { type Exchange, readInput, watch } from './exchange.ts'
import { once } from './replies.ts'
import type { RouteTable } from './routes.ts'
import { sendBody } from './send.ts'

/** Runs an operation and sends what it gives. @throws {TunnelError} what it refuses with */
export async function answerOperation(
  exchange: Exchange,
  operation: Operation,
  caller: ApiCaller,
  table: RouteTable,
): Promise<void> {
  const { request, relay, origin, limits } = exchange
  const input = await readInput(exchange, operation)
  exchange.onAsked()
  const watched = watch(exchange, limits.operationMs)
  const asking = { relay, caller, source: origin.source, traceId: origin.traceId, signal: watched.signal }
  const run = async (other: Operation, params: object) =>
    bodyOf(other, await runOperation(other, asking, params))
  const { 'if-match': ifMatch, 'idempotency-key': key } = request.headers
  const work = async () => {
    if (ifMatch !== undefined) await refuseChanged(exchange, ifMatch, table, run)
    return run(operation, input)
  }
  const isOnce = typeof key === 'string' && request.method === 'POST'
  const target = `POST ${operation.http.path}`
  const answer = async () => {
    // Who may not, or may no longer, learns neither an answer that was kept nor whether something has changed.
    if (isOnce || ifMatch !== undefined) await admit(operation, asking, input)
    return isOnce ? once({ relay, caller, key, target, input }, work) : work()
  }
  const answered = answer()
  // After the deadline nobody hears what becomes of it.
  answered.catch(() => undefined)
  const body = await Promise.race([answered, watched.late]).finally(watched.done)
  sendBody(exchange, body, true)
}

/** What the schema says and no more, so that an operation cannot let slip what it only has at hand. */
function bodyOf(operation: Operation, output: object): string {
  return `${JSON.stringify(v.parse(operation.output, output))}\n`
}

/**
 * Compares `If-Match` with the tag of what a GET of the same path gives to the same caller.
 * @throws {TunnelError} PRECONDITION where it is another, or where nothing can be read there
 */
async function refuseChanged(
  { request, path, params }: Exchange,
  ifMatch: string,
  table: RouteTable,
  run: (operation: Operation, params: object) => Promise<string>,
): Promise<void> {
  if (request.method === 'GET' || request.method === 'HEAD') return
  const reading = table.reading(path)
  if (reading === undefined) throw new TunnelError('PRECONDITION', 'Nothing can be read under this path.')
  const tag = etagOf(await run(reading, params))
  if (!namesTag(ifMatch, tag, false)) throw new TunnelError('PRECONDITION')
}
