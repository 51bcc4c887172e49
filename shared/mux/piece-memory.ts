import { MAX_DATA_BYTES } from './frame.ts'

/** Pieces below this size get memory of their own size: a few bytes that wait must not cost a whole frame. */
const MIN_POOLED_BYTES = 4_096

/** Free frames' worth of memory kept for the next pieces, in all about 4 MiB. */
const MAX_FREE = 256

const free: Uint8Array[] = []

/** Memory for a piece of `length` bytes that has to wait; it is at least as long. */
export function takeMemory(length: number): Uint8Array {
  if (length < MIN_POOLED_BYTES || length > MAX_DATA_BYTES) return new Uint8Array(length)
  return free.pop() ?? new Uint8Array(MAX_DATA_BYTES)
}

/** The piece has gone on: its memory may hold another. What is never given back is the collector's. */
export function giveBackMemory(memory: Uint8Array): void {
  if (memory.length === MAX_DATA_BYTES && free.length < MAX_FREE) free.push(memory)
}
