import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { Effects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'

/** Length of every key here, in bytes: AES-256. */
export const KEY_BYTES = 32

const NONCE_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'
const OPTIONS = { authTagLength: TAG_BYTES } as const

/** What a sealed value belongs to: it opens nowhere else, so that nobody can move it to another row or tenant. */
export type Belonging = readonly (string | number)[]

/**
 * Seals bytes with AES-256-GCM: nonce, ciphertext, tag. The nonce is random, which is safe for some four thousand million
 * values under one key (NIST SP 800-38D section 8.3); a tenant has a key of its own, and rotation makes a new one.
 */
export function seal(
  key: Uint8Array,
  belonging: Belonging,
  plaintext: Uint8Array,
  effects: Pick<Effects, 'randomBytes'>,
): Buffer {
  const nonce = effects.randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce, OPTIONS)
  cipher.setAAD(Buffer.from(JSON.stringify(belonging)))
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/**
 * Opens what {@link seal} made.
 * @throws {TunnelError} STORE where key, belonging or bytes are others
 */
export function unseal(key: Uint8Array, belonging: Belonging, sealed: Uint8Array): Buffer {
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES)
    const decipher = createDecipheriv(CIPHER, key, nonce, OPTIONS)
    decipher.setAAD(Buffer.from(JSON.stringify(belonging)))
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
  } catch (cause) {
    throw new TunnelError(
      'STORE',
      'A secret in the store does not open: it, its place or its key was changed.',
      {
        cause,
        next: 'restore relay.db and master.key from one backup',
      },
    )
  }
}
