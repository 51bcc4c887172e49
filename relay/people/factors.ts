import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import type { Act } from '../audit/record.ts'
import { factorSecret } from '../store/people-queries.ts'
import type { FactorRecord } from '../store/people-store.ts'
import { actOf, newId, type Origin, type People } from './people.ts'
import { hashRecoveryCode, makeRecoveryCode, RECOVERY_CODES } from './recovery-code.ts'
import { base32, matchTotp, TOTP_SECRET_BYTES, totpUri } from './totp.ts'
import {
  authenticationAnswer,
  checkAuthentication,
  checkRegistration,
  type RegistrationOptions,
  type registrationAnswer,
  registrationOptions,
} from './webauthn.ts'

/** What somebody shows as second factor. */
export const factorAnswer = v.variant('kind', [
  v.strictObject({ kind: v.literal('totp'), code: v.pipe(v.string(), v.maxLength(16)) }),
  v.strictObject({ kind: v.literal('recovery'), code: v.pipe(v.string(), v.maxLength(64)) }),
  v.strictObject({ kind: v.literal('webauthn'), answer: authenticationAnswer }),
])

export type FactorAnswer = v.InferOutput<typeof factorAnswer>

/** A person of a tenant, as the operations on factors name it. */
export interface PersonKey {
  readonly tenantId: string
  readonly personId: string
}

/**
 * Whether an answer is right, and was not used before. @returns what was shown, undefined where it is not right
 */
export async function verifyFactor(
  people: People,
  { tenantId, personId, challenge }: PersonKey & { readonly challenge: string },
  answer: FactorAnswer,
  origin: Origin,
): Promise<FactorAnswer['kind'] | undefined> {
  const { store } = people
  if (answer.kind === 'recovery') {
    const hash = hashRecoveryCode(answer.code)
    const isSpent = await store.spendRecoveryCode(tenantId, personId, hash, actOf(people, personId, origin))
    return isSpent ? 'recovery' : undefined
  }
  const factors = (await store.listFactors(tenantId, personId)).filter(({ isConfirmed }) => isConfirmed)
  if (answer.kind === 'webauthn') {
    const checked = await checkAuthentication(people, factors, answer.answer, challenge)
    if (checked === undefined) return undefined
    const { factor, counter } = checked
    // An authenticator without a counter says 0 for ever; the challenge is good for one answer all the same.
    if (counter > 0 && !(await store.useFactor(tenantId, personId, factor.id, counter))) return undefined
    return 'webauthn'
  }
  for (const factor of factors.filter(({ kind }) => kind === 'totp')) {
    const step = await matchStep(people, tenantId, factor, answer.code)
    if (step !== undefined && (await store.useFactor(tenantId, personId, factor.id, step))) return 'totp'
  }
  return undefined
}

async function matchStep(
  { store, effects }: People,
  tenantId: string,
  factor: FactorRecord,
  code: string,
): Promise<number | undefined> {
  const secret = await store.getSecret(tenantId, factorSecret(factor.id))
  return secret && matchTotp(secret.reveal(), code.replaceAll(' ', ''), effects.date(), factor.counter)
}

/** Makes a secret for a program that shows codes. It counts from its first right code on. */
export async function beginTotp(
  people: People,
  { tenantId, personId }: PersonKey,
  name: string,
  act: Act,
): Promise<{ readonly id: string; readonly secret: string; readonly uri: string }> {
  const { store, effects } = people
  const person = await store.findPerson(tenantId, personId)
  if (person === undefined) throw new TunnelError('NOT_FOUND')
  const id = newId(people)
  const secret = effects.randomBytes(TOTP_SECRET_BYTES)
  const rest = { createdAt: act.at, isConfirmed: false, counter: 0, credential: '' }
  await dropUnconfirmed(people, { tenantId, personId }, act)
  await store.addFactor(tenantId, personId, { id, kind: 'totp', name, ...rest }, act)
  await store.putSecret(tenantId, factorSecret(id), secret, act)
  const { host } = people.address()
  return {
    id,
    secret: base32(secret),
    uri: totpUri(secret, { issuer: `Sallyport ${host}`, account: person.login }),
  }
}

/** What was begun and never ended must not fill the list. */
async function dropUnconfirmed(
  { store }: People,
  { tenantId, personId }: PersonKey,
  act: Act,
): Promise<void> {
  for (const { id, isConfirmed } of await store.listFactors(tenantId, personId)) {
    if (!isConfirmed) await store.removeFactor(tenantId, personId, id, act)
  }
}

/** @throws {TunnelError} INPUT where the code is not right, NOT_FOUND where no such factor waits for one */
export async function confirmTotp(
  people: People,
  { tenantId, personId }: PersonKey,
  { id, code }: { readonly id: string; readonly code: string },
  act: Act,
): Promise<void> {
  const { store } = people
  const factor = (await store.listFactors(tenantId, personId)).find((one) => one.id === id)
  if (factor === undefined || factor.isConfirmed || factor.kind !== 'totp') throw new TunnelError('NOT_FOUND')
  const step = await matchStep(people, tenantId, factor, code)
  if (step === undefined) {
    throw new TunnelError('INPUT', 'code: it is not the one of this moment.', {
      next: 'is the clock of the device that shows the codes right?',
    })
  }
  if (!(await store.confirmFactor(tenantId, personId, id, step, act))) throw new TunnelError('NOT_FOUND')
}

/** Asks for a new key. */
export async function beginWebauthn(
  people: People,
  { tenantId, personId }: PersonKey,
  name: string,
): Promise<{ readonly id: string; readonly options: RegistrationOptions }> {
  const { store } = people
  const person = await store.findPerson(tenantId, personId)
  if (person === undefined) throw new TunnelError('NOT_FOUND')
  const id = newId(people)
  const factors = await store.listFactors(tenantId, personId)
  const options = await registrationOptions(people, id, { tenantId, personId, name }, { ...person, factors })
  return { id, options }
}

/** @throws {TunnelError} INPUT where what the authenticator made does not hold, NOT_FOUND where nothing waits for it */
export async function confirmWebauthn(
  people: People,
  { tenantId, personId }: PersonKey,
  { id, answer }: { readonly id: string; readonly answer: v.InferOutput<typeof registrationAnswer> },
  act: Act,
): Promise<void> {
  const waiting = people.registrations.take(id, people.effects.now())
  if (waiting === undefined || waiting.personId !== personId || waiting.tenantId !== tenantId) {
    throw new TunnelError('NOT_FOUND')
  }
  const { credential, counter } = await checkRegistration(people, answer, waiting.challenge)
  const factor = { id, kind: 'webauthn', name: waiting.name, createdAt: act.at, isConfirmed: true } as const
  await people.store.addFactor(tenantId, personId, { ...factor, counter, credential }, act)
}

/** New recovery codes, in the place of all before; this answer is the only place where they ever stand. */
export async function renewRecoveryCodes(
  { store, effects }: People,
  { tenantId, personId }: PersonKey,
  act: Act,
): Promise<readonly string[]> {
  const codes = Array.from({ length: RECOVERY_CODES }, () => makeRecoveryCode(effects))
  await store.setRecoveryCodes(
    tenantId,
    personId,
    codes.map(({ hash }) => hash),
    act,
  )
  return codes.map(({ text }) => text.reveal())
}

/** Takes all second factors of a person away, for one who has lost them. */
export async function clearFactors(
  { store }: People,
  { tenantId, personId }: PersonKey,
  act: Act,
): Promise<void> {
  for (const { id } of await store.listFactors(tenantId, personId)) {
    await store.removeFactor(tenantId, personId, id, act)
  }
  await store.setRecoveryCodes(tenantId, personId, [], act)
}
