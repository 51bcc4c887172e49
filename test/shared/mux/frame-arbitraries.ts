import fc from 'fast-check'
import { MAX_OFFSET } from '../../../shared/mux/frame.ts'
import type { AnyFrame } from './frame-vectors.ts'

/** What numbers and bytes frames are made of. */
export interface FrameParts {
  readonly id: fc.Arbitrary<number>
  readonly offset: fc.Arbitrary<number>
  readonly bytes: fc.Arbitrary<Uint8Array>
}

const u8 = fc.nat(255)
const u32 = fc.oneof(fc.nat(100), fc.integer({ min: 0, max: 0xffff_ffff }), fc.constant(0xffff_ffff))
const link = fc.constant(0 as const)
const is = <Type extends string>(...types: Type[]) => fc.constantFrom(...types)

/** Any frame that can be encoded, made of `parts`. */
export function frameOf({ id, offset, bytes }: FrameParts): fc.Arbitrary<AnyFrame> {
  return fc.oneof(
    fc
      .record({ type: is('DATA'), id, flags: u8, offset, bytes })
      .map((frame) => (frame.bytes.length === 0 ? { ...frame, flags: frame.flags | 1 } : frame)),
    fc.record({
      type: is('OPEN'),
      id,
      flags: u8,
      maxOffset: offset,
      priority: u8,
      hops: u8,
      meta: bytes,
      earlyData: bytes,
    }),
    fc.record({ type: is('OPEN_OK'), id, maxOffset: offset, meta: bytes }),
    fc.record({ type: is('RESET'), id, code: u32, consumed: offset, detail: fc.string({ maxLength: 50 }) }),
    fc.record({ type: is('CREDIT'), id, maxOffset: offset, consumed: offset, fin: fc.boolean() }),
    fc.record({ type: is('STOP'), id, code: u32 }),
    fc.record({ type: is('RESUME'), id, received: offset }),
    fc.record({ type: is('ROUTED'), id, agent: fc.stringMatching(/^[ -~]{1,64}$/) }),
    fc.record({ type: is('PATH_LOST'), id, fin: fc.boolean() }),
    fc.record({ type: is('PING', 'PONG'), id: link, opaque: fc.uint8Array({ minLength: 8, maxLength: 8 }) }),
    fc.record({ type: is('ACK'), id: link, received: offset, holdUs: u32 }),
    fc.record({
      type: is('GOAWAY'),
      id: link,
      code: u32,
      lastId: u32,
      drainMs: u32,
      retryAfterMs: u32,
      meta: bytes,
    }),
    fc.record({ type: is('LINKS'), id: link, wanted: fc.integer({ min: 0, max: 255 }) }),
    fc.record({
      type: is('HELLO', 'HELLO_OK', 'NOTICE'),
      id: link,
      meta: fc.uint8Array({ minLength: 1, maxLength: 30 }),
    }),
  )
}

/** Any frame at all. */
export const anyFrame = frameOf({
  id: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 0xffff_ffff })),
  offset: fc.oneof(
    fc.nat(100),
    fc.integer({ min: 0, max: MAX_OFFSET }),
    fc.constantFrom(0xffff_ffff, 2 ** 32, MAX_OFFSET),
  ),
  bytes: fc.uint8Array({ maxLength: 40 }),
})

const smallOffset = fc.oneof(fc.nat(60), fc.integer({ min: 65_500, max: 65_560 }), fc.nat(300_000))
const smallBytes = fc.uint8Array({ maxLength: 40 })
const SESSION_ENDING = new Set(['OPEN', 'HELLO', 'HELLO_OK', 'ACK'])

/**
 * Frames with small offsets, nearly all of streams `ids`, so that they meet what former ones did; few that end a session,
 * so that a long row of them has something to say.
 */
export function closeFrames(ids: readonly number[]): fc.Arbitrary<AnyFrame> {
  const some = { offset: smallOffset, bytes: smallBytes }
  const known = frameOf({ ...some, id: fc.constantFrom(...ids) })
  return fc.oneof(
    { weight: 40, arbitrary: known.filter((frame) => !SESSION_ENDING.has(frame.type)) },
    { weight: 1, arbitrary: frameOf({ ...some, id: fc.integer({ min: 1, max: 30 }) }) },
  )
}
