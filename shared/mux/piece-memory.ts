import { MAX_DATA_BYTES } from './frame.ts'
import { Pool } from './pool.ts'

/** Pieces below this size get memory of their own size: a few bytes that wait must not cost a whole frame. */
const MIN_POOLED_BYTES = 4_096

/** 4 to 64 MiB. */
const pool = new Pool<Uint8Array>(() => new Uint8Array(MAX_DATA_BYTES), { least: 256, most: 4_096 })

/** Memory for a piece of `length` bytes that has to wait; it is at least as long. */
export function takeMemory(length: number): Uint8Array {
  if (length < MIN_POOLED_BYTES || length > MAX_DATA_BYTES) return new Uint8Array(length)
  return pool.take()
}

/** The piece has gone on or is not wanted any more: its memory may hold another. */
export function giveBackMemory(memory: Uint8Array): void {
  if (memory.length === MAX_DATA_BYTES) pool.giveBack(memory)
}
