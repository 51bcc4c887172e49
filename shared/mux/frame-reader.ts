import { TunnelError } from '../errors.ts'
import { decodeControl, isKnownType, readU16, readU32, readU64 } from './decode.ts'
import {
  type ControlFrame,
  FLAG,
  FRAME,
  HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  OFFSET_BYTES,
  SKIPPABLE,
} from './frame.ts'

/** What a reader tells of the frames it finds. Neither method may throw anything but a TunnelError. */
export interface FrameListener {
  /**
   * A piece of a DATA frame: `bytes` belong at `offset` of stream `id`. A frame that came in one chunk is one piece; one
   * that was cut is several, and FIN stands in `flags` of the last only. `bytes` is a view that is good for this call only.
   * `wireBytes` counts what the piece adds to the link's received DATA bytes.
   */
  data(id: number, flags: number, offset: number, bytes: Uint8Array, wireBytes: number): void
  control(frame: ControlFrame): void
}

const DATA_HEAD = HEADER_BYTES + OFFSET_BYTES
const NO_BYTES = new Uint8Array(0)

/**
 * Cuts a byte stream into frames (docs/protocol.md section 3). It buffers at most one control frame (16 KiB); DATA is
 * passed on piece by piece, uncopied. After a throw the reader is dead.
 */
export class FrameReader {
  readonly #listener: FrameListener
  /** Header (and offset of DATA) that came in pieces. */
  readonly #head = new Uint8Array(DATA_HEAD)
  #headBytes = 0
  /** Bytes of the control payload under way; -1 where there is none. */
  #payloadBytes = -1
  /** Where a control payload that came in pieces is put together. */
  #payload = NO_BYTES
  #payloadHas = 0
  /** Bytes of the current DATA or skipped payload that are still to come. */
  #remaining = 0
  #skipping = false
  #type = 0
  #id = 0
  #flags = 0
  #offset = 0

  constructor(listener: FrameListener) {
    this.#listener = listener
  }

  /** True between two frames: where a WebSocket message may end. */
  get isAtBoundary(): boolean {
    return this.#headBytes === 0 && this.#remaining === 0 && this.#payloadBytes === -1
  }

  /**
   * Takes the next bytes; they are needed for this call only.
   * @throws {TunnelError} PROTOCOL where they are not frames of this protocol
   */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#remaining > 0) at = this.#continueData(chunk, at)
      else if (this.#payloadBytes !== -1) at = this.#continuePayload(chunk, at)
      else at = this.#startFrame(chunk, at)
    }
  }

  #startFrame(chunk: Uint8Array, at: number): number {
    // The whole header in one chunk is the rule; only a cut header is copied.
    if (this.#headBytes === 0 && chunk.length - at >= DATA_HEAD) {
      return this.#header(chunk, at) + at
    }
    const wanted = this.#headBytes < HEADER_BYTES ? HEADER_BYTES : DATA_HEAD
    const taken = Math.min(wanted - this.#headBytes, chunk.length - at)
    this.#head.set(chunk.subarray(at, at + taken), this.#headBytes)
    this.#headBytes += taken
    if (this.#headBytes < HEADER_BYTES) return at + taken
    if (this.#head[0] === FRAME.DATA && this.#headBytes < DATA_HEAD) {
      checkData(readU16(this.#head, 2))
      return at + taken
    }
    this.#headBytes = 0
    this.#header(this.#head, 0)
    return at + taken
  }

  /** Reads the header at `at`; returns how many bytes it took (with the offset of DATA). */
  #header(bytes: Uint8Array, at: number): number {
    const type = bytes[at] as number
    const length = readU16(bytes, at + 2)
    if (length > MAX_PAYLOAD_BYTES) throw new TunnelError('PROTOCOL', `a frame of ${length} bytes`)
    this.#flags = bytes[at + 1] as number
    this.#id = readU32(bytes, at + 4)
    if (type === FRAME.DATA) {
      checkData(length)
      if (this.#id === 0) throw new TunnelError('PROTOCOL', 'DATA on stream 0')
      this.#offset = readU64(bytes, at + HEADER_BYTES)
      this.#remaining = length - OFFSET_BYTES
      this.#skipping = false
      if (this.#remaining === 0) this.#emptyData()
      return DATA_HEAD
    }
    if (!isKnownType(type)) {
      if (type < SKIPPABLE.from || type > SKIPPABLE.to) {
        throw new TunnelError('PROTOCOL', `unknown frame type 0x${type.toString(16)}`)
      }
      this.#skipping = true
      this.#remaining = length
      return HEADER_BYTES
    }
    this.#type = type
    if (length === 0) this.#control(NO_BYTES)
    else this.#payloadBytes = length
    return HEADER_BYTES
  }

  #emptyData(): void {
    if ((this.#flags & FLAG.FIN) === 0) throw new TunnelError('PROTOCOL', 'empty DATA without FIN')
    this.#listener.data(this.#id, this.#flags, this.#offset, NO_BYTES, DATA_HEAD)
  }

  #continueData(chunk: Uint8Array, at: number): number {
    const taken = Math.min(this.#remaining, chunk.length - at)
    this.#remaining -= taken
    if (this.#skipping) return at + taken
    const last = this.#remaining === 0
    const offset = this.#offset
    this.#offset += taken
    this.#listener.data(
      this.#id,
      last ? this.#flags : this.#flags & ~FLAG.FIN,
      offset,
      chunk.subarray(at, at + taken),
      last ? taken + DATA_HEAD : taken,
    )
    return at + taken
  }

  #continuePayload(chunk: Uint8Array, at: number): number {
    const total = this.#payloadBytes
    const taken = Math.min(total - this.#payloadHas, chunk.length - at)
    const part = chunk.subarray(at, at + taken)
    if (taken === total) {
      this.#payloadBytes = -1
      this.#control(part)
      return at + taken
    }
    if (this.#payloadHas === 0) this.#payload = new Uint8Array(total)
    this.#payload.set(part, this.#payloadHas)
    this.#payloadHas += taken
    if (this.#payloadHas === total) {
      const whole = this.#payload
      this.#payload = NO_BYTES
      this.#payloadHas = 0
      this.#payloadBytes = -1
      this.#control(whole)
    }
    return at + taken
  }

  #control(payload: Uint8Array): void {
    this.#listener.control(decodeControl(this.#type, this.#flags, this.#id, payload))
  }
}

function checkData(length: number): void {
  if (length < OFFSET_BYTES || length > MAX_PAYLOAD_BYTES) {
    throw new TunnelError('PROTOCOL', `DATA of ${length} bytes`)
  }
}
