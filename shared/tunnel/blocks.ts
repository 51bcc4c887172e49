import type net from 'node:net'
import { MAX_DATA_BYTES } from '../mux/frame.ts'
import { Pool } from '../mux/pool.ts'
import { readInto } from './read-into.ts'

/** Bytes of a block: whole DATA frames, so that a full read makes no splinter. */
const BLOCK_BYTES = 4 * MAX_DATA_BYTES

/** A read of at least this size gets the socket a block of its own. */
const BULK_READ_BYTES = 8_192

/** Memory that sockets are read into, shared out again once every byte read into it was consumed at the far end. */
class Block {
  readonly bytes = Buffer.allocUnsafeSlow(BLOCK_BYTES)
  used = 0
  #chunks = 0
  #isCurrent = true

  /** Counts a chunk that was read into the block; call `release` once when it is consumed. */
  hold(): () => void {
    this.#chunks++
    return this.release
  }

  /** The reader is done with the block; it is free when the last chunk is. */
  retire(): void {
    this.#isCurrent = false
    this.#freeIfUnused()
  }

  readonly release = (): void => {
    this.#chunks--
    this.#freeIfUnused()
  }

  #freeIfUnused(): void {
    if (this.#chunks > 0 || this.#isCurrent) return
    this.used = 0
    this.#isCurrent = true
    pool.giveBack(this)
  }
}

/** 4 to 64 MiB. */
const pool = new Pool(() => new Block(), { least: 64, most: 1_024 })

/** Where idle sockets are read into: what lands here is copied out before anything else can be read. */
const landing = Buffer.allocUnsafeSlow(BLOCK_BYTES)

/**
 * Reads one socket without a fresh buffer per read (docs/performance.md). A socket in bulk reads straight into blocks of
 * its own; an idle one shares one landing block with all others and costs no memory at all.
 */
export class BlockReader {
  readonly #onChunk: (bytes: Uint8Array, release: (() => void) | undefined) => boolean
  #block: Block | undefined

  /** `onChunk` gets each chunk with what frees its memory, and answers whether to go on reading. */
  constructor(onChunk: (bytes: Uint8Array, release: (() => void) | undefined) => boolean) {
    this.#onChunk = onChunk
  }

  /** The `onread` option of net.connect and new net.Socket. */
  get onread(): { buffer: () => Uint8Array; callback: (length: number, buffer: Uint8Array) => boolean } {
    return {
      buffer: () => this.#target(),
      callback: (length, buffer) => this.#onRead(buffer.subarray(0, length)),
    }
  }

  /** Reads a socket that is open already, of which nothing was read yet. */
  attach(socket: net.Socket): void {
    readInto(
      socket,
      () => this.#target(),
      (bytes) => this.#onRead(bytes),
    )
  }

  /** The socket is closed: nothing will be read any more. */
  close(): void {
    this.#block?.retire()
    this.#block = undefined
  }

  #target(): Uint8Array {
    return this.#block === undefined ? landing : this.#block.bytes.subarray(this.#block.used)
  }

  #onRead(chunk: Uint8Array): boolean {
    const { length } = chunk
    const block = this.#block
    if (block === undefined) {
      if (length >= BULK_READ_BYTES) this.#block = pool.take()
      return this.#onChunk(Buffer.from(chunk), undefined)
    }
    block.used += length
    const release = block.hold()
    if (length < BULK_READ_BYTES) this.close()
    else if (BLOCK_BYTES - block.used < MAX_DATA_BYTES) {
      block.retire()
      this.#block = pool.take()
    }
    return this.#onChunk(chunk, release)
  }
}
