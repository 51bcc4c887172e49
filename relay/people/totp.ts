import { createHmac, timingSafeEqual } from 'node:crypto'

/** Bytes of a secret: as many as SHA-1 gives (RFC 4226 section 4). */
export const TOTP_SECRET_BYTES = 20

const STEP_MS = 30_000
const DIGITS = 6

/** Steps before and after now that are taken, for clocks that are not right. */
const TOLERANCE = 1

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** The code of one time step (RFC 6238 with SHA-1, which is what every program knows). */
export function totpCode(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', secret).update(counter).digest()
  // RFC 4226 section 5.3: the last four bits say where the number begins.
  const offset = (mac.at(-1) ?? 0) & 0x0f
  const number = mac.readUInt32BE(offset) & 0x7f_ff_ff_ff
  return String(number % 10 ** DIGITS).padStart(DIGITS, '0')
}

/** The time step of a moment, in ms since 1970. */
export function totpStep(at: number): number {
  return Math.floor(at / STEP_MS)
}

/**
 * The step whose code this is. Who calls it keeps the step and takes none up to it again, so that no code works twice.
 * @param after the last step that was used
 * @returns undefined where it is none of now, one step ago or one ahead
 */
export function matchTotp(secret: Uint8Array, code: string, at: number, after: number): number | undefined {
  const now = totpStep(at)
  let found: number | undefined
  for (let step = now - TOLERANCE; step <= now + TOLERANCE; step++) {
    if (isSame(totpCode(secret, step), code) && step > after) found ??= step
  }
  return found
}

function isSame(expected: string, given: string): boolean {
  return given.length === expected.length && timingSafeEqual(Buffer.from(expected), asciiOf(given))
}

/** One byte for each character, whatever it is. */
function asciiOf(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

/** What a program for codes reads, as text or from a picture. */
export function totpUri(
  secret: Uint8Array,
  { issuer, account }: { readonly issuer: string; readonly account: string },
): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(account)}`
  const query = `secret=${base32(secret)}&issuer=${encodeURIComponent(issuer)}`
  return `otpauth://totp/${label}?${query}&algorithm=SHA1&digits=${DIGITS}&period=${STEP_MS / 1000}`
}

/** RFC 4648 section 6, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0x1f_ff
    bits += 8
    for (; bits >= 5; bits -= 5) text += ALPHABET.charAt((value >> (bits - 5)) & 31)
  }
  return bits === 0 ? text : text + ALPHABET.charAt((value << (5 - bits)) & 31)
}
