import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import type { Authenticator } from '../api/caller.ts'
import type { Act } from '../audit/record.ts'
import { addressKey } from '../gateway/admission.ts'
import type { Carrier, SessionRecord } from '../store/people-store.ts'
import { actOf, newId, type Origin, type People } from './people.ts'
import { makeToken, parseToken } from './token.ts'

/** How long a session lives, in ms. */
export const SESSION_LIFE = {
  /** Without a request. */
  idleMs: 30 * 60_000,
  /** From the login, whatever happens. */
  absoluteMs: 24 * 3_600_000,
} as const

/** How often the use of a session is noted: it ends so much before its time at most, and never after. */
const NOTE_MS = 30_000

/** A session and the token that carries it, which nobody but its bearer has. */
export interface OpenedSession {
  readonly token: Secret<string>
  readonly session: SessionRecord
  readonly expiresAt: number
}

/** Who has logged in, and how. */
export interface Login {
  readonly tenantId: string
  readonly personId: string
  readonly carrier: Carrier
  /** For the audit and the list of sessions: `password`, `password totp`, `oidc`, `device`. */
  readonly how: string
  /** When the person was last asked to prove it, where that was not now. */
  readonly authenticatedAt?: number
  readonly hasSecondFactor: boolean
}

/**
 * Begins a session of a person who has proved to be there, by whatever way: the end of every login.
 * @throws {TunnelError} LOGIN where the tenant is closed; RESTRICTED where the person may not come from there
 */
export async function openSession(people: People, login: Login, origin: Origin): Promise<OpenedSession> {
  const { store, effects, closed } = people
  const { tenantId, personId, carrier, how, hasSecondFactor } = login
  if (closed.has(tenantId)) throw new TunnelError('LOGIN')
  people.enforcement.checkLogin(tenantId, personId, { address: origin.source })
  const { text, hash } = makeToken('session', tenantId, effects)
  const now = effects.date()
  const session = {
    ...{ id: newId(people), personId, carrier, how, source: origin.source },
    ...{ createdAt: now, authenticatedAt: login.authenticatedAt ?? now, seenAt: now, hasSecondFactor },
  }
  const address = addressKey(origin.source)
  await store.openSession(tenantId, { ...session, hash, address }, actOf(people, personId, origin))
  return { token: text, session, expiresAt: now + SESSION_LIFE.absoluteMs }
}

/**
 * Puts a new token in the place of a session's, after its person has proved again to be there.
 * @throws {TunnelError} LOGIN where it has ended
 */
export async function renewSession(
  people: People,
  proof: { tenantId: string; personId: string; sessionId: string; hasSecondFactor: boolean },
  origin: Origin,
): Promise<OpenedSession> {
  const { tenantId, personId, sessionId, hasSecondFactor } = proof
  const { text, hash } = makeToken('session', tenantId, people.effects)
  const act = actOf(people, personId, origin)
  const isRenewed = await people.store.rotateSession(tenantId, sessionId, { hash, hasSecondFactor }, act)
  const session = isRenewed ? await people.store.findSession(tenantId, hash) : undefined
  if (session === undefined) throw new TunnelError('LOGIN')
  return { token: text, session, expiresAt: session.createdAt + SESSION_LIFE.absoluteMs }
}

/** Ends a session, and what its person listens to by it. */
export async function endSession(
  { store, enforcement }: People,
  { tenantId, sessionId }: { readonly tenantId: string; readonly sessionId: string },
  act: Act,
): Promise<void> {
  await store.endSession(tenantId, sessionId, act)
  await enforcement.listeners.check(tenantId)
}

export function isAlive({ createdAt, seenAt }: SessionRecord, now: number): boolean {
  return now - seenAt < SESSION_LIFE.idleMs && now - createdAt < SESSION_LIFE.absoluteMs
}

/** Knows the sessions of people. Asked for each request, so a session that ended is dead at once. */
export function sessionAuthenticator(people: People): Authenticator {
  const { store, effects, closed } = people
  return async ({ kind, secret }) => {
    const token = parseToken('session', secret.reveal())
    if (token === undefined) return undefined
    const { tenantId, hash } = token
    const session = await store.findSession(tenantId, hash)
    const now = effects.date()
    if (session === undefined || session.carrier !== kind || !isAlive(session, now) || closed.has(tenantId)) {
      throw new TunnelError('LOGIN', 'The session has ended.')
    }
    if (now - session.seenAt >= NOTE_MS) await store.touchSession(tenantId, hash, now)
    const { personId, id, authenticatedAt, hasSecondFactor } = session
    const lacksSecondFactor = !hasSecondFactor && (await store.secondFactorSince(tenantId)) !== undefined
    return {
      kind: 'person',
      id: personId,
      tenantId,
      // The own account is for everybody who has logged in; there a second factor is added.
      assignments: lacksSecondFactor ? [] : await store.listAssignments(tenantId, personId),
      via: 'session',
      authenticatedAt,
      sessionId: id,
      lacksSecondFactor,
    }
  }
}
