import { isIPv6 } from 'node:net'
import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import type { Act } from '../audit/record.ts'
import { addressKey } from '../gateway/admission.ts'
import { parseLogin } from './login-name.ts'
import { checkNewPassword } from './password.ts'
import { actOf, newId, type Origin, type People } from './people.ts'
import { makeToken, parseToken } from './token.ts'

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
    url: `https://${place}:${port}/${personId === undefined ? 'setup' : 'reset'}#${text.reveal()}`,
    expiresAt,
  }
}

/**
 * Sets the password of whom a link was made for.
 * @throws {TunnelError} LOGIN where the link does not hold; INPUT where the password may not be used, and the link stays
 */
export async function spendPasswordLink(
  people: People,
  link: string,
  password: Secret<string>,
  origin: Origin,
): Promise<void> {
  const { store, hasher } = people
  const { tenantId, hash } = await openLink(people, link, origin)
  const found = await store.findLink(tenantId, hash, people.effects.date())
  const person = found?.personId === undefined ? undefined : await store.findPerson(tenantId, found.personId)
  if (person === undefined || people.closed.has(tenantId)) throw spentLink()
  checkNewPassword(password.reveal(), person.login)
  const kept = await hasher.hash(password)
  if (!(await store.spendLink(tenantId, hash, kept, actOf(people, person.id, origin)))) throw spentLink()
}

/**
 * Makes the first owner of a tenant.
 * @throws {TunnelError} NOT_FOUND where the link does not hold or there is an owner, in the words of an unknown path;
 * INPUT where name or password may not be used, and the link stays
 */
export async function setUpOwner(
  people: People,
  owner: { readonly link: string; readonly login: string; readonly password: Secret<string> },
  origin: Origin,
): Promise<void> {
  const { store, hasher } = people
  const unknown = () => new TunnelError('NOT_FOUND', '', { next: '' })
  const { tenantId, hash } = await openLink(people, owner.link, origin).catch(() => {
    throw unknown()
  })
  const found = await store.findLink(tenantId, hash, people.effects.date())
  if (found === undefined || found.personId !== undefined || (await store.hasOwner(tenantId))) throw unknown()
  const login = parseLogin(owner.login)
  checkNewPassword(owner.password.reveal(), login)
  const passwordHash = await hasher.hash(owner.password)
  const id = newId(people)
  if (!(await store.addFirstOwner(tenantId, hash, { id, login, passwordHash }, actOf(people, id, origin)))) {
    throw unknown()
  }
}

async function openLink({ gate, effects }: People, link: string, { source }: Origin) {
  gate.passAddress(addressKey(source), effects.now())
  // Who pastes all of the address is understood, too.
  const token = parseToken('link', link.slice(link.lastIndexOf('#') + 1))
  if (token === undefined) throw spentLink()
  return token
}

function spentLink(): TunnelError {
  return new TunnelError('LOGIN', 'The link is unknown, spent or too old.', {
    next: 'ask an administrator of the tenant for a new link',
  })
}
