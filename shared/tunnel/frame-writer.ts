import type { Effects } from '../effects.ts'
import { DATA_HEAD_BYTES, writeDataHead } from '../mux/encode.ts'
import { MAX_DATA_BYTES } from '../mux/frame.ts'
import type { FrameSink } from '../mux/link.ts'
import type { Piece } from '../mux/scheduler.ts'
import { headBytes, OPCODE, type Opcode, writeHead } from '../wire/websocket.ts'
import { WriteBatch } from './write-batch.ts'

/** Control frames that share a message, in bytes; one alone may be longer. */
const MAX_CONTROL_MESSAGE_BYTES = 16_384

/** What is written apart where whole DATA frames follow, in bytes. */
const MAX_PREFIX_BYTES = 4_096

const ZERO_MASK = new Uint8Array(4)

export interface FrameWriterOptions {
  /** Clients mask their frames (RFC 6455 section 5.1), servers do not. */
  readonly isClient: boolean
  /**
   * `zero` sends a mask of zeros: allowed inside TLS to a verified peer, where no proxy can read the frames, and it saves
   * half of the sender's work. `random` where something in between reads them.
   */
  readonly mask: 'zero' | 'random'
  readonly effects: Pick<Effects, 'randomBytes'>
  /** Takes the bytes of a turn, and calls `onWritten` when it needs them no more. */
  readonly write: (bytes: Buffer, onWritten: () => void) => void
}

/** Makes WebSocket messages of a link's frames, in the memory from which one turn's bytes are written as one. */
export class FrameWriter implements FrameSink {
  readonly #options: FrameWriterOptions
  readonly #batch: WriteBatch
  #controls: Uint8Array[] = []
  #controlBytes = 0

  constructor(options: FrameWriterOptions) {
    this.#options = options
    this.#batch = new WriteBatch(options.write)
  }

  control(bytes: Uint8Array): void {
    if (this.#controlBytes + bytes.length > MAX_CONTROL_MESSAGE_BYTES) this.#writeControls()
    this.#controls.push(bytes)
    this.#controlBytes += bytes.length
  }

  data(piece: Piece): void {
    this.#writeControls()
    const { id, flags, offset, bytes } = piece
    const length = DATA_HEAD_BYTES + bytes.length
    // A few bytes in front of a bulk transfer would cut each of its frames over two TLS records.
    if (bytes.length === MAX_DATA_BYTES && this.#batch.used < MAX_PREFIX_BYTES) this.#batch.flush()
    const mask = this.#nextMask()
    const at = this.#start(OPCODE.binary, length, mask)
    const { buffer } = this.#batch
    writeDataHead(buffer, at, { id, flags, offset, length: bytes.length })
    buffer.set(bytes, at + DATA_HEAD_BYTES)
    applyMask(buffer, at, length, mask)
  }

  /** One message or WebSocket control frame, at once with all that waits. */
  frame(opcode: Opcode, payload: Uint8Array): void {
    this.#write(opcode, [payload], payload.length)
    this.#batch.flush()
  }

  /** Writes what waits. */
  flush(): void {
    this.#writeControls()
    this.#batch.flush()
  }

  /** Control frames of one turn share a message. */
  #writeControls(): void {
    if (this.#controls.length === 0) return
    const controls = this.#controls
    const length = this.#controlBytes
    this.#controls = []
    this.#controlBytes = 0
    this.#write(OPCODE.binary, controls, length)
  }

  #write(opcode: Opcode, parts: readonly Uint8Array[], length: number): void {
    const mask = this.#nextMask()
    const start = this.#start(opcode, length, mask)
    const { buffer } = this.#batch
    let at = start
    for (const bytes of parts) {
      buffer.set(bytes, at)
      at += bytes.length
    }
    applyMask(buffer, start, length, mask)
  }

  /** Writes the head of a message of `length` bytes; they begin at the answer. */
  #start(opcode: Opcode, length: number, mask: Uint8Array | undefined): number {
    const head = headBytes(length, this.#options.isClient)
    const at = this.#batch.reserve(head + length)
    writeHead(this.#batch.buffer, at, opcode, length, mask)
    return at + head
  }

  #nextMask(): Uint8Array | undefined {
    const { isClient, mask, effects } = this.#options
    if (!isClient) return undefined
    return mask === 'zero' ? ZERO_MASK : effects.randomBytes(4)
  }
}

/** Masks `length` bytes of `buffer` from `at` on in place (RFC 6455 section 5.3). */
function applyMask(buffer: Uint8Array, at: number, length: number, mask: Uint8Array | undefined): void {
  if (mask === undefined || mask === ZERO_MASK) return
  for (let index = 0; index < length; index++) {
    buffer[at + index] = (buffer[at + index] as number) ^ (mask[index & 3] as number)
  }
}
