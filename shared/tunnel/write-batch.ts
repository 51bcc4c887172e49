/** Bytes of a batch: four whole DATA frames, and room for what stands before them. */
const BATCH_BYTES = 69_632

/** Batches of at most this size are copied out, so that what waits for a slow peer holds no more than its own size. */
const COPY_BYTES = 4_096

/** Free buffers kept for the next batch, in all 2 MiB. */
const MAX_FREE = 32

const free: Buffer[] = []

/**
 * Puts what one turn of the event loop has for a socket together in one buffer, which is written as one: a write costs the
 * same whatever is in it, and a copy in the processor's cache costs less than a write. The buffers go round among all
 * sockets of the process.
 */
export class WriteBatch {
  readonly #write: (bytes: Buffer, onWritten: () => void) => void
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
    const at = this.#used
    this.#used += length
    return at
  }

  /** The memory that {@link reserve} gives places in; another one after `flush`. */
  get buffer(): Buffer {
    this.#buffer ??= free.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES)
    return this.#buffer
  }

  /** Copies `bytes`, at most 69,632. */
  append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.buffer.set(bytes, at)
  }

  /** Forgets what waits. */
  clear(): void {
    if (this.#buffer !== undefined) giveBack(this.#buffer)
    this.#buffer = undefined
    this.#used = 0
  }

  /** Writes what waits. */
  flush(): void {
    const buffer = this.#buffer
    const used = this.#used
    if (buffer === undefined || used === 0) return
    this.#buffer = undefined
    this.#used = 0
    if (used <= COPY_BYTES) {
      const copy = Buffer.from(buffer.subarray(0, used))
      giveBack(buffer)
      this.#write(copy, nothing)
    } else this.#write(buffer.subarray(0, used), () => giveBack(buffer))
  }
}

function nothing(): void {}

function giveBack(buffer: Buffer): void {
  if (free.length < MAX_FREE) free.push(buffer)
}
