import * as v from 'valibot'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { serverSentEvents } from '../../shared/wire/server-sent-events.ts'
import { type Asked, askOther, streamRelay } from '../ask-relay.ts'
import {
  auditCursor,
  auditRecordOutput,
  listAudit,
  showCheckpoint,
  verifyAudit,
} from '../operations/audit.ts'
import { DEFAULT_TENANT } from '../store/store.ts'
import type { RecordJson } from './format.ts'
import { liveAudit } from './live.ts'
import type { AuditSource } from './source.ts'
import type { AuditFilter } from './store.ts'

/** A chain of millions of records takes its time to be read, in ms. */
const VERIFY_MS = 600_000

/** The wait before a stream that broke off is asked for again, in ms. */
const AGAIN_MS = 2_000

/** The chains of another relay, as far as whoever logged in there may read them. */
export function remoteSource(
  relay: string,
  { effects, signal }: { readonly effects: Pick<Effects, 'sleep'>; readonly signal: AbortSignal },
): AuditSource {
  const ask = <Answer extends object>(operation: Asked<Answer>, params: object, timeoutMs?: number) =>
    askOther({ relay, signal }, operation, params, timeoutMs === undefined ? {} : { timeoutMs })
  return {
    chains: async () => [DEFAULT_TENANT],

    page: async (tenant, { filter, order, limit, behind }) => {
      const where = behind === undefined ? {} : { cursor: auditCursor(behind) }
      const { items, next } = await ask(listAudit, { ...paramsOf(tenant, filter), order, limit, ...where })
      return { items, next: next === undefined ? undefined : numberOf(next) }
    },

    follow: (tenant, filter, after) =>
      followAgain({ relay, signal, effects }, paramsOf(tenant, filter), after),

    verify: (tenant, checkpoint) =>
      ask(verifyAudit, { tenant, ...(checkpoint === undefined ? {} : { checkpoint }) }, VERIFY_MS),

    checkpoint: (tenant) => ask(showCheckpoint, { tenant }),

    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** The live records of a relay. What breaks off is asked for again from where it was, once it has begun. */
async function* followAgain(
  other: { readonly relay: string; readonly signal: AbortSignal; readonly effects: Pick<Effects, 'sleep'> },
  params: object,
  after: number | undefined,
): AsyncGenerator<RecordJson, never> {
  let last = after
  let hasBegun = false
  for (;;) {
    try {
      const position = last === undefined ? {} : { after: last }
      for await (const event of serverSentEvents(streamRelay(other, liveAudit, { ...params, ...position }))) {
        hasBegun = true
        if (event.data !== '') yield recordOf(event.data)
        last = positionOf(event.id) ?? last
      }
    } catch (error) {
      // What never began is a mistake or a relay that is not there, and nothing to wait for.
      if (!hasBegun || !isTunnelError(error) || error.code !== 'RELAY_UNREACHABLE') throw error
    }
    await other.effects.sleep(AGAIN_MS, other.signal)
  }
}

function positionOf(id: string): number | undefined {
  return /^\d{1,15}$/.test(id) ? Number(id) : undefined
}

function paramsOf(tenant: string, { traceId, ...filter }: AuditFilter): object {
  return { tenant, ...filter, ...(traceId === undefined ? {} : { trace: traceId }) }
}

/** What is in the cursor that {@link auditCursor} makes. @throws {TunnelError} PROTOCOL */
function numberOf(cursor: string): number {
  const seq = Number(cursor.slice(1))
  if (Number.isSafeInteger(seq) && auditCursor(seq) === cursor) return seq
  throw new TunnelError('PROTOCOL', 'The relay gave a cursor that this command does not know.')
}

/** @throws {TunnelError} PROTOCOL */
function recordOf(data: string): RecordJson {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), auditRecordOutput), data)
  if (parsed.success) return parsed.output
  throw new TunnelError('PROTOCOL', 'The relay sent a record in a form that this command does not know.')
}
