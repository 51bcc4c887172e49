import type { CacheProvider, Profile, SamlConfig } from '@node-saml/node-saml'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { checkDecrypted, checkEncryption, isEncrypted } from './encrypted-xml.ts'
import { reasonOf } from './reason.ts'
import { boundedXml } from './xml-limits.ts'

// Runs in the thread of saml-worker.ts: what a provider sent is parsed here and nowhere else.

/** What the library is told, as far as it can be sent to another thread. */
export type SamlSetup = Omit<
  SamlConfig,
  'cacheProvider' | 'generateUniqueId' | 'idpCert' | 'decryptionPvk'
> & {
  readonly idpCert: string[]
  /** PEM of the key by which assertions are decrypted; without it none may be encrypted. */
  readonly decryptionPvk?: string
}

/** A message of a provider, and what it has to fit to. */
export interface SamlJob {
  readonly kind: 'response' | 'logout-request'
  /** As base64, as it was posted. */
  readonly message: string
  readonly setup: SamlSetup
  /** The request that a response has to name; without one it need name none. */
  readonly awaited?: { readonly id: string; readonly begunAt: number }
}

/** What a message says that is signed, or why it does not hold. */
export type SamlAnswer =
  | { readonly kind: 'read'; readonly said: SamlSaid | undefined }
  | { readonly kind: 'refused'; readonly why: string }

/** What was signed. Plain values, so that they can be sent to another thread. */
export interface SamlSaid {
  /** Of a logout request. */
  readonly id: string | undefined
  readonly issuer: string
  readonly nameId: unknown
  readonly nameIdFormat: unknown
  readonly sessionIndex: string | undefined
  readonly attributes: unknown
  /** The assertion as the library reads XML; undefined for a logout request. */
  readonly assertion: unknown
}

/** Looks at a message: its limits, its form, its signature, its times. Never rejects. */
export async function readSamlMessage(job: SamlJob): Promise<SamlAnswer> {
  try {
    const xml = boundedXml(job.message)
    if (isEncrypted(xml)) await checkEncrypted(xml, job)
    const profile = await readBy(job)
    return { kind: 'read', said: profile === null ? undefined : saidBy(profile) }
  } catch (cause) {
    return { kind: 'refused', why: isTunnelError(cause) ? cause.detail : `${reasonOf(cause)}.` }
  }
}

/** Loads the library, which takes a while, before there is a message. */
export async function loadSamlLibrary(): Promise<void> {
  await import('@node-saml/node-saml')
}

/** @throws {TunnelError} SIGN_ON */
async function checkEncrypted(xml: string, { setup }: SamlJob): Promise<void> {
  if (setup.decryptionPvk === undefined) {
    throw new TunnelError(
      'SIGN_ON',
      'The SAML message is encrypted, which is not switched on for this provider.',
    )
  }
  checkEncryption(xml)
  await checkDecrypted(xml, setup.decryptionPvk)
}

async function readBy({ kind, message, setup, awaited }: SamlJob): Promise<Profile | null> {
  const { SAML, ValidateInResponseTo } = await import('@node-saml/node-saml')
  const cacheProvider: CacheProvider = {
    saveAsync: async () => null,
    getAsync: async (key) => (key === awaited?.id ? new Date(awaited.begunAt).toISOString() : null),
    removeAsync: async () => null,
  }
  const validateInResponseTo =
    awaited === undefined ? ValidateInResponseTo.ifPresent : ValidateInResponseTo.always
  const saml = new SAML({ ...setup, cacheProvider, validateInResponseTo })
  const { profile } =
    kind === 'response'
      ? await saml.validatePostResponseAsync({ SAMLResponse: message })
      : await saml.validatePostRequestAsync({ SAMLRequest: message })
  return profile
}

function saidBy({
  ID,
  issuer,
  nameID,
  nameIDFormat,
  sessionIndex,
  attributes,
  getAssertion,
}: Profile): SamlSaid {
  return {
    ...{ id: ID, issuer, nameId: nameID, nameIdFormat: nameIDFormat, sessionIndex, attributes },
    assertion: getAssertion?.(),
  }
}
