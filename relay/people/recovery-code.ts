import { createHash } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import { Secret } from '../../shared/secret.ts'
import { base32 } from './totp.ts'

/** How many codes a person gets at a time. */
export const RECOVERY_CODES = 10

/** 120 bits, too many to try even for who has the hashes: a plain hash of them is enough (ASVS 5.0, 6.5.2: from 112 bits on). */
const CODE_BYTES = 15

/** A code for when the second factor is lost: six groups of four, and the hash that is kept. */
export function makeRecoveryCode(effects: Pick<Effects, 'randomBytes'>): {
  readonly text: Secret<string>
  readonly hash: Buffer
} {
  const plain = base32(effects.randomBytes(CODE_BYTES)).toLowerCase()
  const groups = plain.match(/.{4}/g) ?? []
  return { text: new Secret(groups.join('-')), hash: hashRecoveryCode(plain) }
}

/** The hash of what a person typed, hyphens, spaces and capitals left aside. */
export function hashRecoveryCode(typed: string): Buffer {
  const plain = typed.toLowerCase().replaceAll(/[\s-]/g, '')
  return createHash('sha256').update('sallyport recovery code 1\n').update(plain).digest()
}
