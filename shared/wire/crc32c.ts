/** The polynomial of Castagnoli, bits reversed. Node's own `zlib.crc32` has another. */
const POLYNOMIAL = 0x82f6_3b78

/**
 * CRC32c (RFC 9260 appendix A) of `bytes`, as an unsigned number of 32 bits. Bit by bit, for inputs of a few KiB.
 */
export function crc32c(bytes: Uint8Array): number {
  let rest = 0xffff_ffff
  for (const byte of bytes) {
    rest ^= byte
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1
  }
  return ~rest >>> 0
}
