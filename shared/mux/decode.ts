import { TunnelError } from '../errors.ts'
import {
  type ControlFrame,
  FLAG,
  FRAME,
  MAX_AGENT_BYTES,
  MAX_DETAIL_BYTES,
  MAX_META_BYTES,
  MAX_PAYLOAD_BYTES,
} from './frame.ts'
import { copyToFrameMemory } from './frame-memory.ts'

const DETAIL = new TextDecoder('utf-8', { fatal: false })
/** Characters that could forge a line or turn text round where a person reads the detail. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
const NOT_ASCII = /[^\x20-\x7e]/gu

type Decoder = (flags: number, id: number, payload: Uint8Array) => ControlFrame

/** Whether a frame of the type belongs to the link (stream 0) or to a stream, and how its payload is read. */
const DECODERS: Readonly<Record<number, { onLink: boolean; min: number; max: number; decode: Decoder }>> = {
  [FRAME.OPEN]: { onLink: false, min: 12, max: MAX_PAYLOAD_BYTES, decode: decodeOpen },
  [FRAME.OPEN_OK]: {
    onLink: false,
    min: 8,
    max: 8 + MAX_META_BYTES,
    decode: (_flags, id, payload) => ({
      type: 'OPEN_OK',
      id,
      maxOffset: readU64(payload, 0),
      meta: copyToFrameMemory(payload, 8),
    }),
  },
  [FRAME.RESET]: {
    onLink: false,
    min: 12,
    max: 12 + MAX_DETAIL_BYTES,
    decode: (_flags, id, payload) => ({
      type: 'RESET',
      id,
      code: readU32(payload, 0),
      consumed: readU64(payload, 4),
      detail: DETAIL.decode(payload.subarray(12)).replace(UNPRINTABLE, '?'),
    }),
  },
  [FRAME.CREDIT]: {
    onLink: false,
    min: 16,
    max: 16,
    decode: (flags, id, payload) => ({
      type: 'CREDIT',
      id,
      maxOffset: readU64(payload, 0),
      consumed: readU64(payload, 8),
      fin: (flags & FLAG.FIN) !== 0,
    }),
  },
  [FRAME.STOP]: {
    onLink: false,
    min: 4,
    max: 4,
    decode: (_flags, id, payload) => ({ type: 'STOP', id, code: readU32(payload, 0) }),
  },
  [FRAME.RESUME]: {
    onLink: false,
    min: 8,
    max: 8,
    decode: (_flags, id, payload) => ({ type: 'RESUME', id, received: readU64(payload, 0) }),
  },
  [FRAME.PATH_LOST]: {
    onLink: false,
    min: 0,
    max: 0,
    decode: (flags, id) => ({ type: 'PATH_LOST', id, fin: (flags & FLAG.FIN) !== 0 }),
  },
  [FRAME.ROUTED]: {
    onLink: false,
    min: 1,
    max: MAX_AGENT_BYTES,
    decode: (_flags, id, payload) => ({
      type: 'ROUTED',
      id,
      agent: DETAIL.decode(payload).replace(NOT_ASCII, '?'),
    }),
  },
  [FRAME.PING]: {
    onLink: true,
    min: 8,
    max: 8,
    decode: (_flags, _id, payload) => ({ type: 'PING', id: 0, opaque: copyToFrameMemory(payload) }),
  },
  [FRAME.PONG]: {
    onLink: true,
    min: 8,
    max: 8,
    decode: (_flags, _id, payload) => ({ type: 'PONG', id: 0, opaque: copyToFrameMemory(payload) }),
  },
  [FRAME.ACK]: {
    onLink: true,
    min: 12,
    max: 12,
    decode: (_flags, _id, payload) => ({
      type: 'ACK',
      id: 0,
      received: readU64(payload, 0),
      holdUs: readU32(payload, 8),
    }),
  },
  [FRAME.GOAWAY]: {
    onLink: true,
    min: 16,
    max: 16 + MAX_META_BYTES,
    decode: (_flags, _id, payload) => ({
      type: 'GOAWAY',
      id: 0,
      code: readU32(payload, 0),
      lastId: readU32(payload, 4),
      drainMs: readU32(payload, 8),
      retryAfterMs: readU32(payload, 12),
      meta: copyToFrameMemory(payload, 16),
    }),
  },
  [FRAME.HELLO]: {
    onLink: true,
    min: 1,
    max: MAX_META_BYTES,
    decode: (_flags, _id, payload) => ({ type: 'HELLO', id: 0, meta: copyToFrameMemory(payload) }),
  },
  [FRAME.HELLO_OK]: {
    onLink: true,
    min: 1,
    max: MAX_META_BYTES,
    decode: (_flags, _id, payload) => ({ type: 'HELLO_OK', id: 0, meta: copyToFrameMemory(payload) }),
  },
  [FRAME.NOTICE]: {
    onLink: true,
    min: 1,
    max: MAX_META_BYTES,
    decode: (_flags, _id, payload) => ({ type: 'NOTICE', id: 0, meta: copyToFrameMemory(payload) }),
  },
  [FRAME.LINKS]: {
    onLink: true,
    min: 1,
    max: 1,
    decode: (_flags, _id, payload) => ({ type: 'LINKS', id: 0, wanted: payload[0] as number }),
  },
}

/** Whether a control frame of this type exists. */
export function isKnownType(type: number): boolean {
  return type in DECODERS
}

/**
 * One control frame from its header fields and its whole payload, of which it keeps nothing.
 * @throws {TunnelError} PROTOCOL where the type is unknown, on the wrong kind of stream, or has a wrong length
 */
export function decodeControl(type: number, flags: number, id: number, payload: Uint8Array): ControlFrame {
  const decoder = DECODERS[type]
  if (decoder === undefined) throw new TunnelError('PROTOCOL', `unknown frame type 0x${type.toString(16)}`)
  if (decoder.onLink !== (id === 0)) throw new TunnelError('PROTOCOL', `frame type ${type} on stream ${id}`)
  if (payload.length < decoder.min || payload.length > decoder.max) {
    throw new TunnelError('PROTOCOL', `frame type ${type} with ${payload.length} bytes`)
  }
  return decoder.decode(flags, id, payload)
}

function decodeOpen(flags: number, id: number, payload: Uint8Array): ControlFrame {
  const metaBytes = readU16(payload, 10)
  if (metaBytes > MAX_META_BYTES || 12 + metaBytes > payload.length) {
    throw new TunnelError('PROTOCOL', `OPEN with ${metaBytes} bytes of meta`)
  }
  return {
    type: 'OPEN',
    id,
    flags,
    maxOffset: readU64(payload, 0),
    priority: payload[8] as number,
    hops: payload[9] as number,
    meta: copyToFrameMemory(payload, 12, 12 + metaBytes),
    earlyData: copyToFrameMemory(payload, 12 + metaBytes),
  }
}

/** The u16 at `at`. */
export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

/** The u32 at `at`. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  )
}

/** The u64 at `at`. @throws {TunnelError} PROTOCOL above 2^53-1, which no honest peer reaches */
export function readU64(bytes: Uint8Array, at: number): number {
  const high = readU32(bytes, at)
  if (high > 0x1f_ffff) throw new TunnelError('PROTOCOL', 'an offset above 2^53-1')
  return high * 0x1_0000_0000 + readU32(bytes, at + 4)
}
