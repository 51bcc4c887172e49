import { TunnelError } from '../../shared/errors.ts'
import { checkXml, withCharacters } from './xml-limits.ts'

/** Names of xmlenc (1.0 and 1.1) that may stand in a message; the empty one is the name space. */
const ALLOWED: ReadonlySet<string> = new Set([
  '',
  'Element',
  'Content',
  'EncryptedKey',
  'aes128-gcm',
  'aes256-gcm',
  'rsa-oaep-mgf1p',
  // As digests these two belong to xmlenc, too.
  'sha256',
  'sha512',
])

/** How often an element of xmlenc may be there: each a place that two readers could take for another. */
const MOST: readonly (readonly [name: string, most: number])[] = [
  ['EncryptedAssertion', 1],
  ['EncryptedData', 1],
  ['EncryptedKey', 1],
  ['EncryptionMethod', 2],
  ['CipherData', 2],
  ['CipherValue', 2],
  ['CipherReference', 0],
  ['RetrievalMethod', 0],
  ['EncryptedID', 0],
  ['EncryptedAttribute', 0],
]

/** True where something in the message is encrypted. */
export function isEncrypted(xml: string): boolean {
  return xml.includes('EncryptedData')
}

/**
 * Refuses what is encrypted in another way than one: a single assertion by AES-GCM, its key by RSA-OAEP and beside it. CBC has
 * no proof that nobody changed it, and the answers to what was changed give the text away; so does RSA 1.5.
 * @throws {TunnelError} SIGN_ON
 */
export function checkEncryption(xml: string): void {
  for (const [, name = ''] of withCharacters(xml).matchAll(/\/xmlenc(?:11)?#([^"'<>]*)["']/g)) {
    if (!ALLOWED.has(name))
      throw refusal(`is encrypted by ${/^[\w-]{1,40}$/.test(name) ? name : 'another way'}`)
  }
  for (const [name, most] of MOST) {
    // One too many counts, one too few does not: whatever begins like the tag.
    const found = xml.match(new RegExp(`<(?:[^\\s<>/:]+:)?${name}`, 'g'))?.length ?? 0
    if (found > most) throw refusal(`has ${name} ${found} times, ${most} may be`)
  }
}

/**
 * Holds what is encrypted in a message to the limits of what is not. The library decrypts it once more for itself: by the same
 * function, and as {@link checkEncryption} has left it nothing else to find, with the same result.
 * @param key PEM
 * @throws {TunnelError} SIGN_ON; what the library throws where it cannot be decrypted
 */
export async function checkDecrypted(xml: string, key: string): Promise<void> {
  const { decryptXml } = await import('@node-saml/node-saml/lib/xml.js')
  checkXml(await decryptXml(xml, key))
}

function refusal(what: string): TunnelError {
  return new TunnelError('SIGN_ON', `The SAML message ${what}.`)
}
