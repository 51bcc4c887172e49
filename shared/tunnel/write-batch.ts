import { Pool } from '../mux/pool.ts'

/** Bytes of a batch: four whole DATA frames, and room for what stands before them. */
const BATCH_BYTES = 69_632

/** Up to here bytes have memory of their own size: many sockets with a little each must not take a whole buffer each. */
const SMALL_BYTES = 4_096

/** 2 MiB. */
const pool = new Pool<Buffer>(() => Buffer.allocUnsafeSlow(BATCH_BYTES), { least: 32, most: 32 })

/**
 * Puts what one turn of the event loop has for a socket together in one buffer, which is written as one: a write costs the
 * same whatever is in it, and a copy in the processor's cache costs less than a write. The buffers go round among all
 * sockets of the process.
 */
export class WriteBatch {
  readonly #write: (bytes: Buffer, onWritten: () => void) => void
  /** What waits while it is little and in no buffer yet. */
  #small: Buffer[] = []
  #buffer: Buffer | undefined
  #used = 0

  /** `write` takes the bytes, and calls `onWritten` when it needs them no more. */
  constructor(write: (bytes: Buffer, onWritten: () => void) => void) {
    this.#write = write
  }

  /** Bytes that wait for `flush`. */
  get used(): number {
    return this.#used
  }

  /** Where in `buffer` the next `length` bytes, at most 69,632, are to be written. May write what was there before. */
  reserve(length: number): number {
    if (this.#used + length > BATCH_BYTES) this.flush()
    if (this.#small.length > 0) this.#gather()
    const at = this.#used
    this.#used += length
    return at
  }

  /** The memory that {@link reserve} gives places in; another one after `flush`. */
  get buffer(): Buffer {
    this.#buffer ??= pool.take()
    return this.#buffer
  }

  /** Copies `bytes`, at most 69,632. */
  append(bytes: Uint8Array): void {
    if (this.#buffer === undefined && this.#used + bytes.length <= SMALL_BYTES) {
      this.#small.push(Buffer.from(bytes))
      this.#used += bytes.length
      return
    }
    const at = this.reserve(bytes.length)
    this.buffer.set(bytes, at)
  }

  /** Forgets what waits. */
  clear(): void {
    if (this.#buffer !== undefined) pool.giveBack(this.#buffer)
    this.#reset()
  }

  /** Writes what waits. */
  flush(): void {
    const used = this.#used
    if (used === 0) return
    const small = this.#small
    const buffer = this.#buffer
    this.#reset()
    if (buffer === undefined) {
      const [only] = small
      this.#write(small.length === 1 && only !== undefined ? only : Buffer.concat(small, used), nothing)
    } else if (used <= SMALL_BYTES) {
      const copy = Buffer.from(buffer.subarray(0, used))
      pool.giveBack(buffer)
      this.#write(copy, nothing)
    } else this.#write(buffer.subarray(0, used), () => pool.giveBack(buffer))
  }

  /** Moves what was little into the buffer. */
  #gather(): void {
    const { buffer } = this
    let at = 0
    for (const bytes of this.#small) {
      buffer.set(bytes, at)
      at += bytes.length
    }
    this.#small = []
  }

  #reset(): void {
    this.#small = []
    this.#buffer = undefined
    this.#used = 0
  }
}

function nothing(): void {}
