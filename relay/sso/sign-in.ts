import { TunnelError } from '../../shared/errors.ts'
import { parseLogin } from '../people/login-name.ts'
import { actOf, newId, type Origin } from '../people/people.ts'
import { type OpenedSession, openSession } from '../people/sessions.ts'
import { type Claims, claimTexts, mapRoles } from './map-roles.ts'
import type { Provider } from './provider.ts'
import type { Sso } from './sso.ts'

/** Whom a provider vouches for, after everything about its answer was checked. */
export interface Vouched {
  /** What the provider calls the person, for good. */
  readonly subject: string
  /** What the provider calls its own session; empty where it names none. */
  readonly sid: string
  readonly claims: Claims
  /** When the person was last asked for a proof, in ms since 1970. */
  readonly authenticatedAt: number
  /** How it says that it asked. */
  readonly methods: readonly string[]
}

/** Longest subject and session name; OpenID Connect allows 255 characters. */
const NAME_MAX = 1_024

/**
 * Begins a session of a person whom a provider vouches for: the rules give the roles, and without a role there is no access.
 * @throws {TunnelError} SIGN_ON with the reason; LOGIN where the tenant is closed
 */
export async function signIn(
  sso: Sso,
  provider: Provider,
  { subject, sid, claims, authenticatedAt, methods }: Vouched,
  origin: Origin,
): Promise<OpenedSession> {
  const { store } = sso
  const { people } = sso.relay()
  const { tenantId, name, settings } = provider
  if (subject === '' || subject.length > NAME_MAX || sid.length > NAME_MAX) {
    throw new TunnelError('SIGN_ON', 'The subject has no usable name.')
  }
  const { assignments, rules } = mapRoles(tenantId, settings.rules, claims)
  if (assignments.length === 0) throw new TunnelError('SIGN_ON', 'No rule gives this person a role.')
  const person = await store.signInFederated(
    tenantId,
    {
      ...{ provider: name, subject, login: loginOf(provider, claims), newPersonId: newId(people) },
      ...{ mustBeInvited: settings.admits === 'invited', assignments },
      detail: `${name}, rules ${rules.join(' ')}`,
    },
    actOf(people, '', origin),
  )
  if (!('personId' in person)) throw new TunnelError('SIGN_ON', NOT_ADMITTED[person.kind])
  const { personId } = person
  // Where the roles have changed, all sessions of before are over.
  await people.enforcement.listeners.check(tenantId)
  const how = `${settings.kind} ${name}, rules ${rules.join(' ')}`.slice(0, 256)
  const hasSecondFactor = methods.some((one) => settings.secondFactorBy.includes(one))
  const opened = await openSession(
    people,
    { tenantId, personId, carrier: 'cookie', how, authenticatedAt, hasSecondFactor },
    origin,
  )
  await store.addFederatedSession(tenantId, {
    ...{ sessionId: opened.session.id, personId, provider: name, subject, sid },
  })
  return opened
}

/** Ends the sessions that a provider names, and what their people listen to by them. */
export async function endFederated(
  { store, relay }: Sso,
  { tenantId, name }: Pick<Provider, 'tenantId' | 'name'>,
  named: { readonly subject?: string | undefined; readonly sid?: string | undefined },
  origin: Origin,
): Promise<void> {
  const { people } = relay()
  await store.endFederatedSessions(tenantId, name, named, actOf(people, '', origin))
  await people.enforcement.listeners.check(tenantId)
}

const NOT_ADMITTED = {
  uninvited: 'Only people that an administrator has added are let in.',
  taken: 'Somebody who comes by another way has this login name.',
} as const

/** @throws {TunnelError} SIGN_ON */
function loginOf({ settings }: Provider, claims: Claims): string {
  const { loginClaim } = settings
  const [text = ''] = claimTexts(claims, loginClaim)
  if (loginClaim === 'email' && claims.email_verified === false) {
    throw new TunnelError('SIGN_ON', 'The provider has not verified the e-mail address.')
  }
  try {
    return parseLogin(text)
  } catch (cause) {
    throw new TunnelError('SIGN_ON', `${loginClaim} holds no login name.`, { cause })
  }
}
