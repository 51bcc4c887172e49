import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import type { FactorRecord } from '../store/people-store.ts'
import type { People } from './people.ts'

export type AuthenticationOptions = PublicKeyCredentialRequestOptionsJSON
export type RegistrationOptions = PublicKeyCredentialCreationOptionsJSON

/** How long a person has to touch a key, in ms. */
const CEREMONY_MS = 5 * 60_000

/** A registration that waits for its authenticator. */
export interface Registration {
  readonly tenantId: string
  readonly personId: string
  readonly name: string
  readonly challenge: string
}

const base64url = v.pipe(v.string(), v.maxLength(8_192), v.regex(/^[\w-]*$/))
const transports = v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(32))), v.maxLength(10)))

/** What a browser adds beside, which decides nothing here. */
const common = {
  id: base64url,
  rawId: base64url,
  type: v.literal('public-key'),
  authenticatorAttachment: v.optional(v.nullable(v.pipe(v.string(), v.maxLength(32)))),
  clientExtensionResults: v.optional(v.record(v.pipe(v.string(), v.maxLength(64)), v.unknown())),
}

/** What `PublicKeyCredential.toJSON()` gives after `create()` (WebAuthn level 3). */
export const registrationAnswer = v.object({
  ...common,
  response: v.object({ clientDataJSON: base64url, attestationObject: base64url, transports }),
})

/** The same after `get()`. */
export const authenticationAnswer = v.object({
  ...common,
  response: v.object({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    signature: base64url,
    userHandle: v.optional(v.nullable(base64url)),
  }),
})

const storedCredential = v.object({
  id: v.string(),
  publicKey: v.string(),
  transports: v.optional(v.array(v.string())),
})

/** It is large, and many relays never need it. */
const library = () => import('@simplewebauthn/server')

/** What a browser's `create()` takes; the challenge waits in `people.registrations` under the factor's id. */
export async function registrationOptions(
  people: People,
  id: string,
  registration: Omit<Registration, 'challenge'>,
  person: { readonly login: string; readonly factors: readonly FactorRecord[] },
): Promise<RegistrationOptions> {
  const { generateRegistrationOptions } = await library()
  const { personId } = registration
  const options = await generateRegistrationOptions({
    rpName: 'Sallyport',
    rpID: relyingParty(people).id,
    userName: person.login,
    userID: new Uint8Array(Buffer.from(personId, 'hex')),
    challenge: challengeOf(people),
    timeout: CEREMONY_MS,
    attestationType: 'none',
    excludeCredentials: person.factors
      .flatMap(credentialOf)
      .map(({ id, transports = [] }) => ({ id, transports })),
    authenticatorSelection: { residentKey: 'discouraged', userVerification: 'preferred' },
  })
  const now = people.effects.now()
  people.registrations.set(id, { ...registration, challenge: options.challenge }, now + CEREMONY_MS, now)
  return options
}

/**
 * Checks what an authenticator made. @returns what is kept of it: the credential as JSON, and its counter
 * @throws {TunnelError} INPUT
 */
export async function checkRegistration(
  people: People,
  answer: v.InferOutput<typeof registrationAnswer>,
  challenge: string,
): Promise<{ readonly credential: string; readonly counter: number }> {
  const { verifyRegistrationResponse } = await library()
  const { id: expectedRPID, origins: expectedOrigin } = relyingParty(people)
  const verified = await verifyRegistrationResponse({
    response: { clientExtensionResults: {}, ...answer } as RegistrationResponseJSON,
    expectedChallenge: challenge,
    expectedOrigin,
    expectedRPID,
    // It stands beside a password: that somebody touches it is enough.
    requireUserVerification: false,
  }).catch((cause: unknown) => {
    throw new TunnelError('INPUT', 'answer: the authenticator has not signed what it was asked for.', {
      cause,
    })
  })
  if (!verified.verified) throw new TunnelError('INPUT', 'answer: the registration does not hold.')
  const { credential } = verified.registrationInfo
  const { id, publicKey, counter, transports } = credential
  const kept = { id, publicKey: Buffer.from(publicKey).toString('base64url'), transports }
  return { credential: JSON.stringify(kept), counter }
}

/** What a browser's `get()` takes. */
export async function authenticationOptions(
  people: People,
  factors: readonly FactorRecord[],
): Promise<AuthenticationOptions> {
  const { generateAuthenticationOptions } = await library()
  return generateAuthenticationOptions({
    rpID: relyingParty(people).id,
    challenge: challengeOf(people),
    timeout: CEREMONY_MS,
    userVerification: 'preferred',
    allowCredentials: factors.flatMap(credentialOf).map(({ id, transports = [] }) => ({ id, transports })),
  })
}

/**
 * Checks what an authenticator signed.
 * @returns the factor and its new counter, undefined where it does not hold, whatever is wrong with it
 */
export async function checkAuthentication(
  people: People,
  factors: readonly FactorRecord[],
  answer: v.InferOutput<typeof authenticationAnswer>,
  challenge: string,
): Promise<{ readonly factor: FactorRecord; readonly counter: number } | undefined> {
  const factor = factors.find((one) => credentialOf(one).some(({ id }) => id === answer.id))
  const [credential] = factor === undefined ? [] : credentialOf(factor)
  if (factor === undefined || credential === undefined || challenge === '') return undefined
  const { verifyAuthenticationResponse } = await library()
  const { id: expectedRPID, origins: expectedOrigin } = relyingParty(people)
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: { clientExtensionResults: {}, ...answer } as AuthenticationResponseJSON,
      expectedChallenge: challenge,
      expectedOrigin,
      expectedRPID,
      credential: {
        id: credential.id,
        publicKey: new Uint8Array(Buffer.from(credential.publicKey, 'base64url')),
        counter: factor.counter,
      },
      requireUserVerification: false,
    })
    return verified ? { factor, counter: authenticationInfo.newCounter } : undefined
  } catch {
    // The library throws for each thing that can be wrong. Who asks is told the same of all.
    return undefined
  }
}

/** The relay as browsers know it: a key is bound to its host name. */
function relyingParty({ address }: People): { readonly id: string; readonly origins: string[] } {
  const { host, port } = address()
  return { id: host, origins: [`https://${host}`, `https://${host}:${port}`] }
}

function challengeOf({ effects }: People): Uint8Array<ArrayBuffer> {
  return new Uint8Array(effects.randomBytes(32))
}

function credentialOf({ kind, credential }: FactorRecord): v.InferOutput<typeof storedCredential>[] {
  if (kind !== 'webauthn') return []
  const parsed = v.safeParse(storedCredential, JSON.parse(credential))
  return parsed.success ? [parsed.output] : []
}
