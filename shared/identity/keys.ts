import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  type X509Certificate,
} from 'node:crypto'
import { promisify } from 'node:util'
import { TunnelError } from '../errors.ts'

const generate = promisify(generateKeyPair)

/** Length of an SPKI hash in bytes. */
export const PIN_LENGTH = 32

const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/

/** Makes a fresh P-256 key, the one kind that TPMs, HSMs and every TLS stack can use. */
export async function generateKey(): Promise<KeyObject> {
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' })
  return privateKey
}

/** The private key as PKCS#8 PEM. It is a secret: it goes into a private file and nowhere else. */
export function exportKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** SubjectPublicKeyInfo in DER (RFC 5280 section 4.1) of a key, private or public. */
export function exportPublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ type: 'spki', format: 'der' })
}

/**
 * Reads a private P-256 key from PEM.
 *
 * @throws {TunnelError} CONFIG where it is something else; the text says nothing of the content
 */
export function importKey(pem: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    // Without the cause: what OpenSSL says may quote the text.
    throw new TunnelError('CONFIG', 'This is not a private key.')
  }
  if (!isP256(key)) throw new TunnelError('CONFIG', 'The private key is not on P-256.')
  return key
}

/** True for an EC key on P-256, private or public. */
export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
}

/**
 * SHA-256 over the DER SubjectPublicKeyInfo (RFC 5280 section 4.1): what joins and people compare. It stays the same
 * when a certificate is made anew for the same key.
 *
 * @returns 32 bytes that belong to the caller
 */
export function spkiHash(source: KeyObject | X509Certificate): Buffer {
  const key = 'publicKey' in source ? source.publicKey : source
  return createHash('sha256').update(exportPublicKey(key)).digest()
}

/** The one text for a key that people compare: `SHA256:` and 43 characters of Base64, as SSH writes it. */
export function fingerprint(source: KeyObject | X509Certificate): string {
  return formatFingerprint(spkiHash(source))
}

/** Writes a hash of 32 bytes as {@link fingerprint} does. */
export function formatFingerprint(hash: Uint8Array): string {
  return `SHA256:${Buffer.from(hash).toString('base64').slice(0, 43)}`
}

/** True for a text that {@link fingerprint} can have written. */
export function isFingerprint(text: string): boolean {
  return FINGERPRINT.test(text)
}
