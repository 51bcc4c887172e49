import { TunnelError } from '../../../shared/errors.ts'
import type { AnyFrame } from './frame-vectors.ts'

/**
 * The codec once more, written for clarity only: a DataView, BigInt and a whole frame at a time. The real one is compared
 * with it, so it shares no code with it.
 */
const TYPE_OF = [
  'DATA',
  'OPEN',
  'OPEN_OK',
  'RESET',
  'CREDIT',
  'STOP',
  'PING',
  'PONG',
  'ACK',
  'GOAWAY',
  'HELLO',
  'HELLO_OK',
  undefined,
  undefined,
  'RESUME',
  'PATH_LOST',
] as const

/** What a receiver may skip. */
const SKIPPABLE_TYPE = { NOTICE: 0x41, LINKS: 0x42, ROUTED: 0x43 } as const

export function naiveEncode(frame: AnyFrame): Uint8Array {
  const body = naiveBody(frame)
  const whole = new Uint8Array(8 + body.length)
  const view = new DataView(whole.buffer)
  view.setUint8(
    0,
    frame.type === 'NOTICE' || frame.type === 'LINKS' || frame.type === 'ROUTED'
      ? SKIPPABLE_TYPE[frame.type]
      : TYPE_OF.indexOf(frame.type),
  )
  view.setUint8(1, 'flags' in frame ? frame.flags : 'fin' in frame && frame.fin ? 1 : 0)
  view.setUint16(2, body.length)
  view.setUint32(4, frame.id)
  whole.set(body, 8)
  return whole
}

function naiveBody(frame: AnyFrame): Uint8Array {
  switch (frame.type) {
    case 'DATA':
      return concat(u64(frame.offset), frame.bytes)
    case 'OPEN':
      return concat(
        u64(frame.maxOffset),
        Uint8Array.of(frame.priority, frame.hops),
        Uint8Array.of(frame.meta.length >> 8, frame.meta.length & 0xff),
        frame.meta,
        frame.earlyData,
      )
    case 'OPEN_OK':
      return concat(u64(frame.maxOffset), frame.meta)
    case 'RESET':
      return concat(u32(frame.code), u64(frame.consumed), new TextEncoder().encode(frame.detail))
    case 'CREDIT':
      return concat(u64(frame.maxOffset), u64(frame.consumed))
    case 'STOP':
      return u32(frame.code)
    case 'PING':
    case 'PONG':
      return frame.opaque
    case 'ACK':
      return concat(u64(frame.received), u32(frame.holdUs))
    case 'GOAWAY':
      return concat(
        u32(frame.code),
        u32(frame.lastId),
        u32(frame.drainMs),
        u32(frame.retryAfterMs),
        frame.meta,
      )
    case 'HELLO':
    case 'HELLO_OK':
    case 'NOTICE':
      return frame.meta
    case 'ROUTED':
      return new TextEncoder().encode(frame.agent)
    case 'LINKS':
      return Uint8Array.of(frame.wanted)
    case 'RESUME':
      return u64(frame.received)
    case 'PATH_LOST':
      return new Uint8Array(0)
  }
}

/** The one frame that `bytes` are, or the error of the first rule that it breaks; undefined for one to be skipped. */
export function naiveDecode(bytes: Uint8Array): AnyFrame | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const type = view.getUint8(0)
  const flags = view.getUint8(1)
  const length = view.getUint16(2)
  const id = view.getUint32(4)
  const body = bytes.subarray(8)
  refuseUnless(length <= 16_368 && length === body.length)
  const skippable = ([undefined, 'NOTICE', 'LINKS', 'ROUTED'] as const)[type - 0x40]
  if (type >= 0x40 && type < 0x80 && skippable === undefined) return undefined
  const name = skippable ?? TYPE_OF[type]
  if (name === undefined) throw new TunnelError('PROTOCOL')
  const isOfLink = ['PING', 'PONG', 'ACK', 'GOAWAY', 'HELLO', 'HELLO_OK', 'NOTICE', 'LINKS'].includes(name)
  refuseUnless(isOfLink === (id === 0))
  return naiveFields({ name, flags, id }, body)
}

function naiveFields(
  head: { name: AnyFrame['type']; flags: number; id: number },
  body: Uint8Array,
): AnyFrame {
  const { flags, id } = head
  const at = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const long = (offset: number): number => {
    const value = at.getBigUint64(offset)
    refuseUnless(value < 2n ** 53n)
    return Number(value)
  }
  const sized = (min: number, max = min): void => refuseUnless(body.length >= min && body.length <= max)
  switch (head.name) {
    case 'DATA':
      sized(8, 16_368)
      refuseUnless(body.length > 8 || (flags & 1) === 1)
      return { type: 'DATA', id, flags, offset: long(0), bytes: body.slice(8) }
    case 'OPEN': {
      sized(12, 16_368)
      const meta = at.getUint16(10)
      refuseUnless(meta <= 8_192 && meta + 12 <= body.length)
      return {
        type: 'OPEN',
        id,
        flags,
        maxOffset: long(0),
        priority: at.getUint8(8),
        hops: at.getUint8(9),
        meta: body.slice(12, 12 + meta),
        earlyData: body.slice(12 + meta),
      }
    }
    case 'OPEN_OK':
      sized(8, 8_200)
      return { type: 'OPEN_OK', id, maxOffset: long(0), meta: body.slice(8) }
    case 'RESET': {
      sized(12, 268)
      const detail = new TextDecoder().decode(body.slice(12)).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
      return { type: 'RESET', id, code: at.getUint32(0), consumed: long(4), detail }
    }
    case 'CREDIT':
      sized(16)
      return { type: 'CREDIT', id, maxOffset: long(0), consumed: long(8), fin: (flags & 1) === 1 }
    case 'STOP':
      sized(4)
      return { type: 'STOP', id, code: at.getUint32(0) }
    case 'RESUME':
      sized(8)
      return { type: 'RESUME', id, received: long(0) }
    case 'PATH_LOST':
      sized(0)
      return { type: 'PATH_LOST', id, fin: (flags & 1) === 1 }
    case 'PING':
    case 'PONG':
      sized(8)
      return { type: head.name, id: 0, opaque: body.slice() }
    case 'ACK':
      sized(12)
      return { type: 'ACK', id: 0, received: long(0), holdUs: at.getUint32(8) }
    case 'GOAWAY':
      sized(16, 8_208)
      return {
        type: 'GOAWAY',
        id: 0,
        code: at.getUint32(0),
        lastId: at.getUint32(4),
        drainMs: at.getUint32(8),
        retryAfterMs: at.getUint32(12),
        meta: body.slice(16),
      }
    case 'HELLO':
    case 'HELLO_OK':
    case 'NOTICE':
      sized(1, 8_192)
      return { type: head.name, id: 0, meta: body.slice() }
    case 'ROUTED':
      sized(1, 64)
      return { type: 'ROUTED', id, agent: new TextDecoder().decode(body).replace(/[^ -~]/gu, '?') }
    case 'LINKS':
      sized(1, 1)
      return { type: 'LINKS', id: 0, wanted: body[0] as number }
  }
}

function refuseUnless(condition: boolean): void {
  if (!condition) throw new TunnelError('PROTOCOL')
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}
