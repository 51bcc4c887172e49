/** Bytes that small frames share. */
const SLAB_BYTES = 8_192

/** What is longer has memory of its own. */
const MAX_SHARED_BYTES = 1_024

let slab = new ArrayBuffer(SLAB_BYTES)
let used = 0

/**
 * Memory for a frame, or for what a frame said: the caller's, with whatever bytes in it. Memory of its own for each of the ten
 * small frames of a stream would have to be found and given back by the system each time; a piece of a slab costs neither,
 * and whoever keeps one keeps 8 KiB.
 */
export function frameMemory(length: number): Uint8Array {
  if (length > MAX_SHARED_BYTES) return new Uint8Array(length)
  if (used + length > SLAB_BYTES) {
    slab = new ArrayBuffer(SLAB_BYTES)
    used = 0
  }
  const at = used
  used += length
  return new Uint8Array(slab, at, length)
}

/** A copy of `bytes` from `from` up to `to` in such memory. */
export function copyToFrameMemory(bytes: Uint8Array, from = 0, to = bytes.length): Uint8Array {
  if (from === to) return NO_BYTES
  const copy = frameMemory(to - from)
  copy.set(bytes.subarray(from, to))
  return copy
}

const NO_BYTES = new Uint8Array(0)
