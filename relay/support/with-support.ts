import type { ApiCaller } from '../api/caller.ts'
import type { Act } from '../audit/record.ts'
import type { Relay } from '../relay.ts'

/** Use is noted so often, in ms. */
const NOTE_MS = 60_000

/** What was not used for so long in ms begins anew: there is a record of it. */
const PAUSE_MS = 30 * 60_000

/**
 * The caller with the roles of the support accesses that count now. Asked at each request, so one that is over or revoked is
 * of no use from the next one on. A person in a session has them, a key that was left with a program does not.
 */
export async function withSupport(
  { authority, trail }: Pick<Relay, 'authority' | 'trail'>,
  caller: ApiCaller,
  { source, traceId }: Pick<Act, 'source' | 'traceId'>,
): Promise<ApiCaller> {
  if (caller.kind !== 'person' || caller.via !== 'session') return caller
  const { store, effects } = authority
  const { tenantId, id: personId } = caller
  const now = effects.date()
  const active = await store.activeSupport(tenantId, personId, now)
  if (active.length === 0) return caller
  for (const { id, usedAt = Number.NEGATIVE_INFINITY, environment = '' } of active) {
    if (now - usedAt < NOTE_MS) continue
    await store.noteSupportUse(tenantId, id, now)
    if (now - usedAt < PAUSE_MS) continue
    const actor = { kind: 'person', id: personId } as const
    trail.audit({
      tenantId,
      actor,
      environment,
      source,
      traceId,
      ...{ action: 'support.use', object: id, outcome: 'OK' },
    })
  }
  return { ...caller, assignments: [...caller.assignments, ...active] }
}
