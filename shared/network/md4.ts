/**
 * MD4 (RFC 1320), which NTLM needs for its password hash and OpenSSL 3 no longer has. It is broken and good for nothing
 * else.
 */
const SHIFTS = [
  [3, 7, 11, 19],
  [3, 5, 9, 13],
  [3, 9, 11, 15],
] as const

/** Which word of the block each of the 16 steps of a round takes. */
const ORDERS = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15],
  [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15],
] as const

const CONSTANTS = [0, 0x5a827999, 0x6ed9eba1] as const

const MIXES = [
  (x: number, y: number, z: number) => (x & y) | (~x & z),
  (x: number, y: number, z: number) => (x & y) | (x & z) | (y & z),
  (x: number, y: number, z: number) => x ^ y ^ z,
] as const

/** @returns 16 bytes that belong to the caller */
export function md4(message: Uint8Array): Buffer {
  const padded = pad(message)
  const state = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476)
  for (let at = 0; at < padded.length; at += 64) addBlock(state, padded, at)
  const digest = Buffer.alloc(16)
  for (const [i, word] of state.entries()) digest.writeUInt32LE(word, i * 4)
  return digest
}

/** Section 3.1 and 3.2: a bit, zeros, and the length in bits as 64 bits, the low word first. */
function pad(message: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil((message.length + 9) / 64) * 64)
  padded.set(message)
  padded[message.length] = 0x80
  padded.writeBigUInt64LE(BigInt(message.length) * 8n, padded.length - 8)
  return padded
}

function addBlock(state: Uint32Array, padded: Buffer, at: number): void {
  const turning = [...state]
  for (let round = 0; round < 3; round++) {
    for (let step = 0; step < 16; step++) {
      const [a = 0, b = 0, c = 0, d = 0] = turning
      const word = padded.readUInt32LE(at + 4 * (ORDERS[round]?.[step] ?? 0))
      const sum = (a + (MIXES[round]?.(b, c, d) ?? 0) + word + (CONSTANTS[round] ?? 0)) >>> 0
      const shift = SHIFTS[round]?.[step % 4] ?? 0
      turning.splice(0, 4, d, ((sum << shift) | (sum >>> (32 - shift))) >>> 0, b, c)
    }
  }
  for (const [i, word] of turning.entries()) state[i] = (state[i] ?? 0) + word
}
