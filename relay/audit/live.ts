import * as v from 'valibot'
import { streamRoute } from '../api/stream-route.ts'
import { auditFilterFields, auditFilterOf, auditPlace, requireChain } from '../operations/audit.ts'
import { followChain } from './follow.ts'
import { recordJson } from './format.ts'

/** A listener that nothing came for hears that often that it is still connected, in ms. */
const ALIVE_MS = 15_000

/** Records that one listener makes the relay hold at most. */
const STEP = 100

/**
 * The records of a chain as server-sent events while they are written. `after`, or the `Last-Event-ID` that a browser sends when
 * it comes back, is the number of the last record that was seen: none is lost, none comes twice. Without it the stream begins now.
 */
export const liveAudit = streamRoute({
  name: 'audit.live',
  summary: 'show records of an audit chain as they are written',
  http: { method: 'GET', path: '/tenants/{tenant}/audit/live' },
  right: 'audit:read',
  type: 'text/event-stream',
  lastEventId: 'after',
  input: v.strictObject({
    ...auditFilterFields,
    after: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  }),
  place: auditPlace,
  async *run({ relay, signal }, { tenant, after, ...filter }) {
    await requireChain(relay, tenant)
    const { store, effects } = relay.authority
    const position = after ?? (await store.auditHead(tenant)).seq
    // At once, so that the listener knows that it is there, and where it began.
    yield `retry: 2000\nid: ${position}\n\n`
    let heardAt = effects.now()
    const steps = followChain({
      ...{ store, effects, tenantId: tenant, after: position, limit: STEP, signal },
      filter: auditFilterOf(filter),
    })
    for await (const { records } of steps) {
      const isSilent = records.length === 0
      if (isSilent && effects.now() - heardAt < ALIVE_MS) continue
      heardAt = effects.now()
      yield isSilent
        ? ': alive\n\n'
        : records
            .map((record) => `id: ${record.seq}\ndata: ${JSON.stringify(recordJson(record))}\n\n`)
            .join('')
    }
  },
})
