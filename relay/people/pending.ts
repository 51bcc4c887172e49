import { TunnelError } from '../../shared/errors.ts'
import type { Carrier, FactorRecord, PersonRecord } from '../store/people-store.ts'
import { type FactorAnswer, verifyFactor } from './factors.ts'
import { noteFailure, type ProvedPassword, requireOpenDoor } from './login.ts'
import type { Origin, People } from './people.ts'
import { type OpenedSession, openSession, renewSession } from './sessions.ts'
import { makeToken, parseToken } from './token.ts'
import { type AuthenticationOptions, authenticationOptions } from './webauthn.ts'

/** How long a second factor may take, in ms. */
const PENDING_MS = 5 * 60_000

/** Answers that may be wrong before the password has to be shown again. */
const ATTEMPTS = 5

/** What a proof is for: a new session, or a session that is to do something dangerous. */
export type Purpose =
  | { readonly kind: 'login'; readonly carrier: Carrier }
  | { readonly kind: 'confirm'; readonly sessionId: string }

/** Somebody who has shown the right password and owes a second factor. This is no session and opens nothing. */
export interface PendingLogin {
  readonly tenantId: string
  readonly person: Pick<PersonRecord, 'id' | 'login'>
  readonly purpose: Purpose
  /** Of the WebAuthn options that were handed out; empty without. */
  readonly challenge: string
  attempts: number
}

/** Where a login stands. */
export type LoginState =
  | { readonly state: 'complete'; readonly opened: OpenedSession }
  | {
      readonly state: 'second-factor'
      readonly pending: string
      readonly methods: readonly ('totp' | 'webauthn' | 'recovery')[]
      readonly webauthn?: AuthenticationOptions
    }

/** After the right password: the end of the login, or the question for a second factor where the person has one. */
export async function proceed(
  people: People,
  { tenantId, person }: ProvedPassword,
  purpose: Purpose,
  origin: Origin,
): Promise<LoginState> {
  const { store, effects, pending } = people
  const factors = (await store.listFactors(tenantId, person.id)).filter(({ isConfirmed }) => isConfirmed)
  if (factors.length === 0) {
    return {
      state: 'complete',
      opened: await complete(people, { tenantId, person, purpose }, undefined, origin),
    }
  }
  const keys = factors.filter(({ kind }) => kind === 'webauthn')
  const webauthn = keys.length === 0 ? undefined : await authenticationOptions(people, keys)
  const { text, hash } = makeToken('pending', tenantId, effects)
  const entry = { tenantId, person, purpose, challenge: webauthn?.challenge ?? '', attempts: 0 }
  const now = effects.now()
  pending.set(hash.toString('hex'), entry, now + PENDING_MS, now)
  const methods = await methodsOf(people, tenantId, person.id, factors)
  return {
    state: 'second-factor',
    pending: text.reveal(),
    methods,
    ...(webauthn === undefined ? {} : { webauthn }),
  }
}

async function methodsOf(
  { store }: People,
  tenantId: string,
  personId: string,
  factors: readonly FactorRecord[],
) {
  const kinds: ('totp' | 'webauthn' | 'recovery')[] = [...new Set(factors.map(({ kind }) => kind))]
  if ((await store.countRecoveryCodes(tenantId, personId)) > 0) kinds.push('recovery')
  return kinds
}

/**
 * Ends a login that waits for its second factor.
 * @throws {TunnelError} LOGIN where the answer is not right, or nothing waits for it; ENHANCE_CALM
 */
export async function answerPending(
  people: People,
  text: string,
  answer: FactorAnswer,
  origin: Origin,
): Promise<OpenedSession> {
  const { effects, pending } = people
  const key = parseToken('pending', text)?.hash.toString('hex') ?? ''
  const waiting = pending.get(key, effects.now())
  if (waiting === undefined) throw new TunnelError('LOGIN', 'No login waits for this. Begin again.')
  const { tenantId, person, challenge } = waiting
  await requireOpenDoor(people, { tenantId, login: person.login }, origin)
  // Counted before it is looked at, so that many at once are no more than one after the other.
  if (++waiting.attempts >= ATTEMPTS) pending.take(key, effects.now())
  const shown = await verifyFactor(people, { tenantId, personId: person.id, challenge }, answer, origin)
  if (shown === undefined) {
    throw await noteFailure(
      people,
      { tenantId, personId: person.id, detail: `second factor: ${answer.kind}` },
      origin,
    )
  }
  pending.take(key, effects.now())
  return complete(people, waiting, shown, origin)
}

function complete(
  people: People,
  { tenantId, person, purpose }: Pick<PendingLogin, 'tenantId' | 'person' | 'purpose'>,
  factor: FactorAnswer['kind'] | undefined,
  origin: Origin,
): Promise<OpenedSession> {
  const proved = { tenantId, personId: person.id, hasSecondFactor: factor !== undefined }
  if (purpose.kind === 'confirm')
    return renewSession(people, { ...proved, sessionId: purpose.sessionId }, origin)
  const how = factor === undefined ? 'password' : `password ${factor}`
  return openSession(people, { ...proved, carrier: purpose.carrier, how }, origin)
}
