import { DEFAULT_TENANT } from '../store/store.ts'
import { createLink, type Link } from './links.ts'
import type { People } from './people.ts'

/** The link for the first owner of the default tenant, in the place of the one before; undefined where there is an owner. */
export async function firstOwnerLink(people: People): Promise<Link | undefined> {
  const { store, effects } = people
  if (await store.hasOwner(DEFAULT_TENANT)) return undefined
  const traceId = effects.randomBytes(16).toString('hex')
  const act = { actor: { kind: 'relay', id: '' }, source: 'local', traceId, at: effects.date() } as const
  return createLink(people, DEFAULT_TENANT, undefined, act)
}
