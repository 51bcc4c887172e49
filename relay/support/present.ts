import * as v from 'valibot'
import type { Relay } from '../relay.ts'
import { SUPPORT_ROLES, type SupportRecord } from '../store/support-store.ts'

/** What was used in so many ms is in use. */
const IN_USE_MS = 5 * 60_000

/** Most of them in one answer. */
const SHOWN_MAX = 100

export type SupportState = 'later' | 'open' | 'in use' | 'over' | 'revoked'

/** What a support access is at `now`. */
export function supportState(
  { revokedAt, beginsAt, endsAt, usedAt }: SupportRecord,
  now: number,
): SupportState {
  if (revokedAt !== undefined) return 'revoked'
  if (now >= endsAt) return 'over'
  if (now < beginsAt) return 'later'
  return usedAt !== undefined && now - usedAt < IN_USE_MS ? 'in use' : 'open'
}

/** A support access that counts now, for whoever may see what is connected. */
export const presentSupport = v.object({
  support: v.string(),
  /** Login name; the id of a person who is gone. */
  person: v.string(),
  role: v.picklist(SUPPORT_ROLES),
  environment: v.optional(v.string()),
  site: v.optional(v.string()),
  isInUse: v.boolean(),
  endsAt: v.number(),
})

/** Those that count now in a tenant, or reach into one environment of it; those in use first. */
export async function supportNow(
  { authority: { store, effects } }: Pick<Relay, 'authority'>,
  tenant: string,
  environment: string | undefined,
): Promise<v.InferOutput<typeof presentSupport>[]> {
  const now = effects.date()
  const counting = (await store.listSupport(tenant))
    .map((one) => ({ ...one, state: supportState(one, now) }))
    .filter(
      ({ state, environment: of }) =>
        (state === 'open' || state === 'in use') &&
        (of === undefined || environment === undefined || of === environment),
    )
    .sort((one, other) => Number(other.state === 'in use') - Number(one.state === 'in use'))
  return Promise.all(
    counting
      .slice(0, SHOWN_MAX)
      .map(async ({ id, personId, role, environment: of, site, state, endsAt }) => ({
        support: id,
        person: (await store.findPerson(tenant, personId))?.login ?? personId,
        role,
        ...(of === undefined ? {} : { environment: of }),
        ...(site === undefined ? {} : { site }),
        isInUse: state === 'in use',
        endsAt,
      })),
  )
}
