import { isIPv6 } from 'node:net'
import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import type { Act } from '../audit/record.ts'
import { addressKey } from '../gateway/admission.ts'
import { parseLogin } from './login-name.ts'
import { checkNewPassword } from './password.ts'
import { actOf, newId, type Origin, type People } from './people.ts'
import { makeToken, type ParsedToken, parseToken } from './token.ts'

/** How long a link works, in ms. */
export const LINK_LIFE = {
  /** With which a person sets a password. */
  password: 3_600_000,
  /** With which the first owner of a tenant is made. */
  owner: 24 * 3_600_000,
} as const

export interface Link {
  /** The token stands behind `#`, where browsers keep it to themselves: no server, proxy or log sees it. */
  readonly url: string
  readonly expiresAt: number
}

/**
 * Makes a link that works once, in the place of those before: for a person to set a password, or without one for the first
 * owner of a tenant.
 * @throws {TunnelError} NOT_FOUND where there is no such person or tenant; CONFLICT where the tenant has an owner
 */
export async function createLink(
  people: People,
  tenantId: string,
  personId: string | undefined,
  act: Act,
): Promise<Link> {
  const { store, effects } = people
  if (personId === undefined && (await store.hasOwner(tenantId))) {
    throw new TunnelError('CONFLICT', 'The tenant has an owner.', {
      next: 'an owner or administrator adds people',
    })
  }
  const { text, hash } = makeToken('link', tenantId, effects)
  const expiresAt = act.at + (personId === undefined ? LINK_LIFE.owner : LINK_LIFE.password)
  await store.createLink(tenantId, { hash, personId, expiresAt }, act)
  const { host, port } = people.address()
  const place = isIPv6(host) ? `[${host}]` : host
  return {
    url: `https://${place}:${port}/set-password#${text.reveal()}`,
    expiresAt,
  }
}

/** What a link is spent on. */
export interface LinkUse {
  readonly link: string
  readonly password: Secret<string>
  /** What the first owner wants to be called; other people have a login name already. */
  readonly login: string | undefined
}

/**
 * Sets the password of whom a link was made for, or makes the first owner of a tenant. There is one path for both, so
 * setup leaves none behind: a link for an owner is, where there is one, a link like any that was made up.
 *
 * @throws {TunnelError} LOGIN where the link does not hold; INPUT where name or password may not be used, and the link stays;
 * ENHANCE_CALM
 */
export async function spendLink(people: People, use: LinkUse, origin: Origin): Promise<void> {
  const { store, effects, closed, gate } = people
  gate.passAddress(addressKey(origin.source), effects.now())
  // Who pastes all of the address is understood, too.
  const token = parseToken('link', use.link.slice(use.link.lastIndexOf('#') + 1))
  const found = token && (await store.findLink(token.tenantId, token.hash, effects.date()))
  if (token === undefined || found === undefined || closed.has(token.tenantId)) throw spentLink()
  const isSpent = await (found.personId === undefined
    ? addFirstOwner(people, token, use, origin)
    : setPassword(people, { ...token, personId: found.personId }, use.password, origin))
  if (!isSpent) throw spentLink()
  // The sessions of before have ended with it.
  await people.enforcement.listeners.check(token.tenantId)
}

async function setPassword(
  people: People,
  { tenantId, hash, personId }: ParsedToken & { readonly personId: string },
  password: Secret<string>,
  origin: Origin,
): Promise<boolean> {
  const person = await people.store.findPerson(tenantId, personId)
  if (person === undefined) return false
  await checkNewPassword(password.reveal(), person.login)
  const kept = await people.hasher.hash(password)
  return people.store.spendLink(tenantId, hash, kept, actOf(people, personId, origin))
}

async function addFirstOwner(
  people: People,
  { tenantId, hash }: ParsedToken,
  { login = '', password }: LinkUse,
  origin: Origin,
): Promise<boolean> {
  if (await people.store.hasOwner(tenantId)) return false
  const owner = { id: newId(people), login: parseLogin(login) }
  await checkNewPassword(password.reveal(), owner.login)
  const passwordHash = await people.hasher.hash(password)
  const act = actOf(people, owner.id, origin)
  return people.store.addFirstOwner(tenantId, hash, { ...owner, passwordHash }, act)
}

function spentLink(): TunnelError {
  return new TunnelError('LOGIN', 'The link is unknown, spent or too old.', {
    next: 'ask an administrator of the tenant for a new link',
  })
}
