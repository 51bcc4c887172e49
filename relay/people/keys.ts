import { TunnelError } from '../../shared/errors.ts'
import { covers } from '../access/authorize.ts'
import { ROLE_RIGHTS } from '../access/rights.ts'
import type { Authenticator } from '../api/caller.ts'
import type { Act } from '../audit/record.ts'
import type { Assignment } from '../operations/operation.ts'
import { newId, type People } from './people.ts'
import { makeToken, parseToken } from './token.ts'

/** How long a key of a person may live, in ms. */
export const KEY_LIFE = { min: 60_000, max: 366 * 86_400_000, usual: 90 * 86_400_000 } as const

export interface KeyRequest {
  readonly tenantId: string
  readonly personId: string
  readonly name: string
  readonly assignments: readonly Assignment[]
  readonly lifeMs: number
}

/** Makes a key with which a program acts for a person. The answer is the only place where its text ever stands. */
export async function createKey(people: People, request: KeyRequest, act: Act) {
  const { tenantId, personId, name, assignments, lifeMs } = request
  const { text, hash } = makeToken('key', tenantId, people.effects)
  const id = newId(people)
  const expiresAt = act.at + lifeMs
  await people.store.addKey(
    tenantId,
    { id, personId, name, assignments, createdAt: act.at, expiresAt, hash },
    act,
  )
  return { id, key: text.reveal(), expiresAt }
}

/** Knows the keys of people. A key never does more than its person may do at that moment. */
export function keyAuthenticator({ store, effects, closed }: People): Authenticator {
  return async ({ kind, secret }) => {
    const token = kind === 'bearer' ? parseToken('key', secret.reveal()) : undefined
    if (token === undefined) return undefined
    const { tenantId, hash } = token
    const key = await store.findKey(tenantId, hash)
    if (key === undefined || key.expiresAt <= effects.date() || closed.has(tenantId)) {
      throw new TunnelError('LOGIN', 'The key is unknown, revoked or expired.')
    }
    const since = await store.secondFactorSince(tenantId)
    // Who made it then had shown none, perhaps; who makes one since has.
    const lacksSecondFactor = since !== undefined && key.createdAt < since
    const held = lacksSecondFactor ? [] : await store.listAssignments(tenantId, key.personId)
    return {
      kind: 'person',
      id: key.personId,
      tenantId,
      assignments: key.assignments.flatMap((wanted) => withinHeld(wanted, held)),
      via: 'api',
      // Nobody is there to be asked again: what is dangerous is not for keys.
      authenticatedAt: 0,
      lacksSecondFactor,
    }
  }
}

/** What of an assignment of a key its person holds, too. */
function withinHeld(wanted: Assignment, held: readonly Assignment[]): Assignment[] {
  const above = held.filter(
    (one) =>
      covers(one, wanted) && ROLE_RIGHTS[wanted.role].every((right) => ROLE_RIGHTS[one.role].includes(right)),
  )
  const viaApi = wanted.viaApi === true && above.some((one) => one.viaApi === true)
  return above.length === 0 ? [] : [{ ...wanted, viaApi }]
}
