import { TunnelError } from '../errors.ts'

/** Opcodes of RFC 6455 section 5.2 that the tunnel uses. */
export const OPCODE = { binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const

export type Opcode = (typeof OPCODE)[keyof typeof OPCODE]

/** Close codes of RFC 6455 section 7.4.1. */
export const CLOSE = { normal: 1000, protocol: 1002, tooBig: 1009 } as const

/** Largest message the tunnel takes, in bytes: what a length of 16 bits can say. */
export const MAX_MESSAGE_BYTES = 65_535

export interface WebSocketListener {
  /** A piece of a binary message, unmasked; it is good for this call only. */
  payload(bytes: Uint8Array): void
  /** The binary message under way is complete. */
  messageEnd(): void
  /** A PING: answer with the same bytes. */
  ping(bytes: Uint8Array): void
  /** The peer closes; 1005 where it gave no code. */
  close(code: number): void
}

const MAX_CONTROL_BYTES = 125

/** Without it, TextDecoder repairs what is no UTF-8 instead of refusing it. */
const UTF_8 = new TextDecoder('utf-8', { fatal: true })

/** Two bytes, an 8-byte length, a 4-byte mask. */
const MAX_HEAD_BYTES = 14

/**
 * Reads RFC 6455 frames of a connection that was upgraded already, as strictly as the tunnel needs: whole binary messages
 * of less than 64 KiB, PING, PONG and CLOSE; no text, no fragments, no extensions. Payload is passed on as it comes, without
 * a copy. After a throw the reader is dead.
 */
export class WebSocketReader {
  readonly #listener: WebSocketListener
  readonly #isMasked: boolean
  readonly #head = new Uint8Array(MAX_HEAD_BYTES)
  #headBytes = 0
  /** How long the head under way is, once its first two bytes have told. */
  #headEnd = MAX_HEAD_BYTES
  #opcode: Opcode = OPCODE.binary
  /** Bytes of the payload still to come; -1 between frames. */
  #remaining = -1
  readonly #mask = new Uint8Array(4)
  #hasMask = false
  #maskAt = 0
  #control: Uint8Array = NO_BYTES

  /** `isMasked`: the peer is a client and must mask (RFC 6455 section 5.1); a server must not. */
  constructor(listener: WebSocketListener, isMasked: boolean) {
    this.#listener = listener
    this.#isMasked = isMasked
  }

  /** Takes the next bytes, which it unmasks in place; they are needed for this call only. @throws {TunnelError} PROTOCOL */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#remaining === -1) at = this.#readHead(chunk, at)
      else at = this.#readPayload(chunk, at)
    }
  }

  #readHead(chunk: Uint8Array, at: number): number {
    let next = at
    // Byte by byte: a head is at most 14 bytes, and a whole one is found without a special case.
    while (next < chunk.length) {
      this.#head[this.#headBytes++] = chunk[next++] as number
      if (this.#headBytes === 2) this.#headEnd = this.#headLength()
      if (this.#headBytes === this.#headEnd) {
        this.#headBytes = 0
        this.#headEnd = MAX_HEAD_BYTES
        this.#startFrame()
        return next
      }
    }
    return next
  }

  /** Judges the first two bytes as soon as they are there: whoever does not mask may have no more to say. */
  #headLength(): number {
    const first = this.#head[0] as number
    const second = this.#head[1] as number
    if ((first & 0xf0) !== 0x80)
      throw new TunnelError('PROTOCOL', 'a fragment or an extension nobody agreed on')
    if (((second & 0x80) !== 0) !== this.#isMasked) throw new TunnelError('PROTOCOL', 'wrong masking')
    const code = second & 0x7f
    if (code === 127) throw new TunnelError('PROTOCOL', 'a message of 64 KiB or more')
    return 2 + (code === 126 ? 2 : 0) + (this.#isMasked ? 4 : 0)
  }

  #startFrame(): void {
    const code = (this.#head[1] as number) & 0x7f
    const length = code === 126 ? ((this.#head[2] as number) << 8) | (this.#head[3] as number) : code
    if (code === 126 && length < 126)
      throw new TunnelError('PROTOCOL', 'a length that is not the shortest form')
    this.#opcode = knownOpcode((this.#head[0] as number) & 0x0f, length)
    if (this.#isMasked) this.#takeMask(code === 126 ? 4 : 2)
    this.#remaining = length
    this.#control = NO_BYTES
    if (length === 0) this.#endFrame()
  }

  #takeMask(at: number): void {
    this.#maskAt = 0
    this.#hasMask = false
    for (let index = 0; index < 4; index++) {
      const byte = this.#head[at + index] as number
      this.#mask[index] = byte
      if (byte !== 0) this.#hasMask = true
    }
  }

  #readPayload(chunk: Uint8Array, at: number): number {
    const taken = Math.min(this.#remaining, chunk.length - at)
    const piece = chunk.subarray(at, at + taken)
    this.#remaining -= taken
    if (this.#hasMask) this.#unmask(piece)
    if (this.#opcode === OPCODE.binary) this.#listener.payload(piece)
    else this.#control = concat(this.#control, piece)
    if (this.#remaining === 0) this.#endFrame()
    return at + taken
  }

  #unmask(piece: Uint8Array): void {
    for (let index = 0; index < piece.length; index++) {
      piece[index] = (piece[index] as number) ^ (this.#mask[(this.#maskAt + index) & 3] as number)
    }
    this.#maskAt = (this.#maskAt + piece.length) & 3
  }

  #endFrame(): void {
    this.#remaining = -1
    switch (this.#opcode) {
      case OPCODE.binary:
        this.#listener.messageEnd()
        return
      case OPCODE.ping:
        this.#listener.ping(this.#control)
        return
      case OPCODE.close:
        this.#listener.close(this.#closeCode())
        return
      case OPCODE.pong:
        return
    }
  }

  #closeCode(): number {
    if (this.#control.length === 1) throw new TunnelError('PROTOCOL', 'a close code of one byte')
    if (this.#control.length === 0) return 1005
    const code = ((this.#control[0] as number) << 8) | (this.#control[1] as number)
    if (!isCloseCode(code)) throw new TunnelError('PROTOCOL', `close code ${code}`)
    if (!isUtf8(this.#control.subarray(2)))
      throw new TunnelError('PROTOCOL', 'a close reason that is no UTF-8')
    return code
  }
}

/** What a CLOSE may say: RFC 6455 section 7.4, and what was registered since. 1004 to 1006 never stand in a frame. */
function isCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    UTF_8.decode(bytes)
    return true
  } catch {
    return false
  }
}

/** @throws {TunnelError} PROTOCOL for text, continuations and what RFC 6455 does not know */
function knownOpcode(opcode: number, length: number): Opcode {
  switch (opcode) {
    case OPCODE.binary:
      return opcode
    case OPCODE.close:
    case OPCODE.ping:
    case OPCODE.pong:
      if (length > MAX_CONTROL_BYTES)
        throw new TunnelError('PROTOCOL', 'a control frame of more than 125 bytes')
      return opcode
    default:
      throw new TunnelError('PROTOCOL', `WebSocket opcode ${opcode}`)
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

/** Bytes of the head of a frame with `length` bytes of payload (at most 65,535). */
export function headBytes(length: number, isMasked: boolean): number {
  return (length < 126 ? 2 : 4) + (isMasked ? 4 : 0)
}

/**
 * Writes the head of a whole frame at `at` of `target`. `mask` is given by clients only: four bytes, which may be zero
 * inside TLS to a verified peer, where no proxy reads the frames that RFC 6455 section 10.3 protects.
 */
export function writeHead(
  target: Uint8Array,
  at: number,
  opcode: number,
  length: number,
  mask: Uint8Array | undefined,
): void {
  target[at] = 0x80 | opcode
  const bit = mask === undefined ? 0 : 0x80
  if (length < 126) target[at + 1] = bit | length
  else {
    target[at + 1] = bit | 126
    target[at + 2] = length >>> 8
    target[at + 3] = length
  }
  if (mask !== undefined) target.set(mask, at + (length < 126 ? 2 : 4))
}

const NO_BYTES = new Uint8Array(0)
