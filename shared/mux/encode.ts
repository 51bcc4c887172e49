import { TunnelError } from '../errors.ts'
import {
  type ControlFrame,
  FLAG,
  FRAME,
  HEADER_BYTES,
  MAX_DETAIL_BYTES,
  MAX_META_BYTES,
  MAX_OFFSET,
  MAX_PAYLOAD_BYTES,
  OFFSET_BYTES,
} from './frame.ts'
import { frameMemory } from './frame-memory.ts'

const EMPTY = new Uint8Array(0)
const TEXT = new TextEncoder()

/** Writes `value`, 0 to 2^53-1, as u64 at `at`. */
function writeU64(target: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000)
  writeU32(target, at, high)
  writeU32(target, at + 4, value % 0x1_0000_0000)
}

/** Writes `value`, 0 to 2^32-1, as u32 at `at`. */
function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

function writeU16(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 8
  target[at + 1] = value
}

/** Writes the 8 bytes that begin every frame. */
function writeHeader(
  target: Uint8Array,
  at: number,
  type: number,
  flags: number,
  length: number,
  id: number,
): void {
  target[at] = type
  target[at + 1] = flags
  writeU16(target, at + 2, length)
  writeU32(target, at + 4, id)
}

/** Bytes in front of the stream bytes of a DATA frame. */
export const DATA_HEAD_BYTES = HEADER_BYTES + OFFSET_BYTES

/**
 * Writes the head of a DATA frame at `at` of `target`; `length` stream bytes, at most 16,360, follow it on the wire.
 * The caller owns `target`.
 */
export function writeDataHead(
  target: Uint8Array,
  at: number,
  frame: { id: number; flags: number; offset: number; length: number },
): void {
  writeHeader(target, at, FRAME.DATA, frame.flags, frame.length + OFFSET_BYTES, frame.id)
  writeU64(target, at + HEADER_BYTES, frame.offset)
}

function start(type: number, flags: number, id: number, length: number): Uint8Array {
  if (length > MAX_PAYLOAD_BYTES)
    throw new TunnelError('INTERNAL', `a frame of ${length} bytes does not exist`)
  const bytes = frameMemory(HEADER_BYTES + length)
  writeHeader(bytes, 0, type, flags, length, id)
  return bytes
}

/** The bytes of a control frame. The caller owns them. @throws {TunnelError} INTERNAL where a field is out of range. */
export function encodeControl(frame: ControlFrame): Uint8Array {
  switch (frame.type) {
    case 'OPEN':
      return encodeOpen(frame)
    case 'OPEN_OK': {
      const bytes = start(FRAME.OPEN_OK, 0, frame.id, 8 + metaLength(frame.meta))
      writeU64(bytes, 8, checked(frame.maxOffset))
      bytes.set(frame.meta, 16)
      return bytes
    }
    case 'RESET': {
      const detail = encodeDetail(frame.detail)
      const bytes = start(FRAME.RESET, 0, frame.id, 12 + detail.length)
      writeU32(bytes, 8, frame.code)
      writeU64(bytes, 12, checked(frame.consumed))
      bytes.set(detail, 20)
      return bytes
    }
    case 'CREDIT': {
      const bytes = start(FRAME.CREDIT, frame.fin ? FLAG.FIN : 0, frame.id, 16)
      writeU64(bytes, 8, checked(frame.maxOffset))
      writeU64(bytes, 16, checked(frame.consumed))
      return bytes
    }
    case 'STOP': {
      const bytes = start(FRAME.STOP, 0, frame.id, 4)
      writeU32(bytes, 8, frame.code)
      return bytes
    }
    case 'RESUME': {
      const bytes = start(FRAME.RESUME, 0, frame.id, 8)
      writeU64(bytes, 8, checked(frame.received))
      return bytes
    }
    case 'PATH_LOST':
      return start(FRAME.PATH_LOST, frame.fin ? FLAG.FIN : 0, frame.id, 0)
    case 'ROUTED': {
      const agent = TEXT.encode(frame.agent)
      const bytes = start(FRAME.ROUTED, 0, frame.id, agent.length)
      bytes.set(agent, 8)
      return bytes
    }
    default:
      return encodeLinkFrame(frame)
  }
}

function encodeLinkFrame(
  frame: Extract<
    ControlFrame,
    { type: 'PING' | 'PONG' | 'ACK' | 'GOAWAY' | 'HELLO' | 'HELLO_OK' | 'NOTICE' | 'LINKS' }
  >,
): Uint8Array {
  switch (frame.type) {
    case 'PING':
    case 'PONG': {
      const bytes = start(FRAME[frame.type], 0, 0, 8)
      bytes.set(frame.opaque, 8)
      return bytes
    }
    case 'ACK': {
      const bytes = start(FRAME.ACK, 0, 0, 12)
      writeU64(bytes, 8, checked(frame.received))
      writeU32(bytes, 16, frame.holdUs)
      return bytes
    }
    case 'GOAWAY': {
      const bytes = start(FRAME.GOAWAY, 0, 0, 16 + metaLength(frame.meta))
      writeU32(bytes, 8, frame.code)
      writeU32(bytes, 12, frame.lastId)
      writeU32(bytes, 16, frame.drainMs)
      writeU32(bytes, 20, frame.retryAfterMs)
      bytes.set(frame.meta, 24)
      return bytes
    }
    case 'LINKS': {
      const bytes = start(FRAME.LINKS, 0, 0, 1)
      bytes[HEADER_BYTES] = frame.wanted
      return bytes
    }
    case 'HELLO':
    case 'HELLO_OK':
    case 'NOTICE': {
      const bytes = start(FRAME[frame.type], 0, 0, metaLength(frame.meta))
      bytes.set(frame.meta, 8)
      return bytes
    }
  }
}

function encodeOpen(frame: Extract<ControlFrame, { type: 'OPEN' }>): Uint8Array {
  const length = 12 + metaLength(frame.meta) + frame.earlyData.length
  const bytes = start(FRAME.OPEN, frame.flags, frame.id, length)
  writeU64(bytes, 8, checked(frame.maxOffset))
  bytes[16] = frame.priority
  bytes[17] = frame.hops
  writeU16(bytes, 18, frame.meta.length)
  bytes.set(frame.meta, 20)
  bytes.set(frame.earlyData, 20 + frame.meta.length)
  return bytes
}

function checked(offset: number): number {
  if (!(offset >= 0 && offset <= MAX_OFFSET))
    throw new TunnelError('INTERNAL', `offset ${offset} is out of range`)
  return offset
}

/** A longer one would be refused by the peer and end the whole session, so it never leaves. */
function metaLength(meta: Uint8Array): number {
  if (meta.length > MAX_META_BYTES) throw new TunnelError('INTERNAL', `meta of ${meta.length} bytes`)
  return meta.length
}

/** At most 256 bytes of UTF-8, cut between characters. */
function encodeDetail(detail: string): Uint8Array {
  if (detail === '') return EMPTY
  const target = new Uint8Array(MAX_DETAIL_BYTES)
  const { written } = TEXT.encodeInto(detail, target)
  return target.subarray(0, written)
}
