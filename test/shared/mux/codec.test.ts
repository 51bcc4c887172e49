import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isTunnelError } from '../../../shared/errors.ts'
import { encodeControl } from '../../../shared/mux/encode.ts'
import {
  FLAG,
  FRAME,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  MAX_META_BYTES,
  MAX_OFFSET,
  MAX_PAYLOAD_BYTES,
} from '../../../shared/mux/frame.ts'
import { FrameReader } from '../../../shared/mux/frame-reader.ts'
import { anyFrame } from './frame-arbitraries.ts'
import { createCollector, encodeAny } from './frame-collector.ts'
import { type AnyFrame, fromHex, loadFrameVectors, toHex } from './frame-vectors.ts'
import { naiveDecode, naiveEncode } from './naive-codec.ts'

const VECTORS = loadFrameVectors()
const NOTHING = new Uint8Array(0)

function read(...chunks: Uint8Array[]): AnyFrame[] {
  const { reader, frames } = createCollector()
  for (const chunk of chunks) reader.push(chunk)
  assert.equal(reader.isAtBoundary, true)
  return frames()
}

/** The code of the error that reading `bytes` ends with, or `incomplete` where the reader waits for more. */
function refusal(...chunks: Uint8Array[]): string {
  const { reader } = createCollector()
  try {
    for (const chunk of chunks) reader.push(chunk)
  } catch (error) {
    assert.ok(isTunnelError(error))
    return error.code
  }
  return reader.isAtBoundary ? 'accepted' : 'incomplete'
}

describe('the vectors', () => {
  for (const { name, bytes, frame } of VECTORS.valid) {
    test(`${name}: is decoded to its fields and encoded to its bytes`, () => {
      assert.deepEqual(read(bytes.slice()), [frame])
      assert.equal(toHex(encodeAny(frame)), toHex(bytes))
    })

    test(`${name}: is the same byte by byte and cut at every place`, () => {
      assert.deepEqual(read(...[...bytes].map((byte) => Uint8Array.of(byte))), [frame])
      for (let cut = 0; cut <= bytes.length; cut++) {
        assert.deepEqual(read(bytes.slice(0, cut), bytes.slice(cut)), [frame], `cut at ${cut}`)
      }
    })
  }

  for (const { name, bytes, error } of VECTORS.invalid) {
    test(`${name}: is refused, whole and byte by byte`, () => {
      assert.equal(refusal(bytes), error)
      assert.equal(refusal(...[...bytes].map((byte) => Uint8Array.of(byte))), error)
    })
  }

  test('all in one chunk, cut anywhere, come out in order', () => {
    const all = Uint8Array.from(VECTORS.valid.flatMap(({ bytes }) => [...bytes]))
    const frames = VECTORS.valid.map(({ frame }) => frame)
    for (let cut = 0; cut <= all.length; cut++) {
      assert.deepEqual(read(all.slice(0, cut), all.slice(cut)), frames, `cut at ${cut}`)
    }
  })

  test('name every type of frame', () => {
    const types = new Set(VECTORS.valid.map(({ frame }) => frame.type))
    assert.equal(types.size, Object.keys(FRAME).length)
  })
})

describe('the reader', () => {
  test('takes the largest DATA frame', () => {
    const bytes = new Uint8Array(MAX_DATA_BYTES).fill(7)
    const frame: AnyFrame = { type: 'DATA', id: 1, flags: FLAG.FIN, offset: 5, bytes }
    assert.deepEqual(read(encodeAny(frame)), [frame])
  })

  test('takes the largest OPEN', () => {
    const frame: AnyFrame = {
      type: 'OPEN',
      id: 1,
      flags: 0,
      maxOffset: MAX_OFFSET,
      priority: 0,
      hops: 0,
      meta: new Uint8Array(MAX_META_BYTES).fill(1),
      earlyData: new Uint8Array(MAX_PAYLOAD_BYTES - 12 - MAX_META_BYTES).fill(2),
    }
    assert.deepEqual(read(encodeAny(frame)), [frame])
  })

  test('passes DATA on piece by piece: offsets advance, FIN is on the last, the wire bytes sum up', () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, index) => index)
    const whole = encodeAny({ type: 'DATA', id: 3, flags: FLAG.FIN | FLAG.ACK_NOW, offset: 1_000, bytes })
    const { reader, pieces } = createCollector()
    for (const [from, to] of [
      [0, 20],
      [20, 50],
      [50, 51],
      [51, 116],
    ]) {
      reader.push(whole.slice(from, to))
    }
    assert.deepEqual(
      pieces.map(({ offset, bytes: { length }, flags }) => ({ offset, length, flags })),
      [
        { offset: 1_000, length: 4, flags: FLAG.ACK_NOW },
        { offset: 1_004, length: 30, flags: FLAG.ACK_NOW },
        { offset: 1_034, length: 1, flags: FLAG.ACK_NOW },
        { offset: 1_035, length: 65, flags: FLAG.ACK_NOW | FLAG.FIN },
      ],
    )
    assert.equal(
      pieces.reduce((sum, piece) => sum + piece.wireBytes, 0),
      HEADER_BYTES + 8 + 100,
    )
  })

  test('does not copy DATA: a piece is a view of the chunk', () => {
    const chunk = encodeAny({ type: 'DATA', id: 3, flags: 0, offset: 0, bytes: fromHex('010203') })
    const seen: ArrayBufferLike[] = []
    const direct = new FrameReader({
      data: (_id, _flags, _offset, bytes) => seen.push(bytes.buffer),
      control: () => assert.fail(),
    })
    direct.push(chunk)
    assert.deepEqual(seen, [chunk.buffer])
  })

  test('skips frames of types 0x40 to 0x7f wherever they are cut, and they do not count as DATA', () => {
    for (const type of [0x40, 0x5a, 0x7f]) {
      for (const length of [0, 1, 7, 8, 9, MAX_PAYLOAD_BYTES]) {
        const skipped = new Uint8Array(HEADER_BYTES + length).fill(0xee)
        skipped.set([type, 0xff, length >> 8, length & 0xff, 0, 0, 0, 9])
        const data = encodeAny({ type: 'DATA', id: 1, flags: 0, offset: 0, bytes: fromHex('61') })
        const all = Uint8Array.from([...skipped, ...data])
        for (const cut of [0, 1, 4, 8, 9, 15, 16, 17, skipped.length - 1, skipped.length, all.length]) {
          const at = Math.min(cut, all.length)
          const { reader, pieces } = createCollector()
          reader.push(all.slice(0, at))
          reader.push(all.slice(at))
          assert.deepEqual(
            pieces.map((piece) => piece.wireBytes),
            [17],
          )
        }
      }
    }
  })

  test('is at a boundary between frames only', () => {
    for (const { bytes, name } of VECTORS.valid) {
      const { reader } = createCollector()
      for (const [index, byte] of bytes.entries()) {
        reader.push(Uint8Array.of(byte))
        assert.equal(reader.isAtBoundary, index === bytes.length - 1, `${name} after ${index + 1} bytes`)
      }
    }
  })

  test('refuses a frame that is too long before it has come', () => {
    assert.equal(refusal(fromHex('0100fff000000001')), 'PROTOCOL')
    assert.equal(refusal(fromHex('00003ff100000001')), 'PROTOCOL')
  })

  test('makes a hostile detail harmless', () => {
    const [frame] = read(
      encodeAny({
        type: 'RESET',
        id: 1,
        code: 1,
        consumed: 0,
        detail: 'a\r\nb\u202ec\u2028d\u0000\u001b[31m',
      }),
    )
    assert.equal(frame?.type === 'RESET' && frame.detail, 'a??b?c?d??[31m')
  })
})

describe('the encoder', () => {
  test('cuts a long detail between characters', () => {
    const [frame] = read(
      encodeAny({ type: 'RESET', id: 1, code: 1, consumed: 0, detail: `x${'é'.repeat(300)}` }),
    )
    assert.equal(frame?.type === 'RESET' && frame.detail, `x${'é'.repeat(127)}`)
  })

  test('refuses offsets that cannot be written', () => {
    for (const consumed of [-1, MAX_OFFSET + 1, Number.NaN]) {
      assert.throws(
        () => encodeControl({ type: 'CREDIT', id: 1, maxOffset: 0, consumed, fin: false }),
        { code: 'INTERNAL' },
        String(consumed),
      )
    }
  })

  test('refuses what the far end would end the session for', () => {
    const meta = new Uint8Array(MAX_META_BYTES + 1)
    const open = { type: 'OPEN', id: 1, flags: 0, maxOffset: 0, priority: 0, hops: 0 } as const
    for (const frame of [
      { ...open, meta, earlyData: NOTHING },
      { ...open, meta: NOTHING, earlyData: new Uint8Array(MAX_PAYLOAD_BYTES) },
      { type: 'OPEN_OK', id: 1, maxOffset: 0, meta },
      { type: 'GOAWAY', id: 0, code: 0, lastId: 0, drainMs: 0, retryAfterMs: 0, meta },
      { type: 'HELLO', id: 0, meta },
      { type: 'HELLO_OK', id: 0, meta },
    ] as const) {
      assert.throws(() => encodeControl(frame), { code: 'INTERNAL' }, frame.type)
    }
  })
})

describe('beside the naive twin', () => {
  test('the encoder writes the same bytes', () => {
    fc.assert(
      fc.property(anyFrame, (frame) => assert.equal(toHex(encodeAny(frame)), toHex(naiveEncode(frame)))),
      { numRuns: 1_000 },
    )
  })

  test('the reader finds the same frames, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 6 }), fc.array(fc.nat(60)), (frames, sizes) => {
        const all = Uint8Array.from(frames.flatMap((frame) => [...naiveEncode(frame)]))
        const chunks: Uint8Array[] = []
        let at = 0
        for (const size of sizes) {
          chunks.push(all.slice(at, at + size))
          at = Math.min(all.length, at + size)
        }
        const expected = frames.map((frame) => naiveDecode(naiveEncode(frame)))
        assert.deepEqual(read(...chunks, all.slice(at)), expected)
      }),
      { numRuns: 500 },
    )
  })

  test('the reader refuses what the twin refuses and nothing else', () => {
    const damage = fc.record({ at: fc.nat(40), value: fc.nat(255) })
    fc.assert(
      fc.property(anyFrame, fc.array(damage, { maxLength: 3 }), (frame, damages) => {
        const whole = naiveEncode(frame)
        // The length stays: a frame of another length would be another stream of frames.
        for (const { at, value } of damages) if (at < whole.length && at !== 2 && at !== 3) whole[at] = value
        let expected: AnyFrame | undefined | string
        try {
          expected = naiveDecode(whole)
        } catch {
          assert.equal(refusal(whole), 'PROTOCOL')
          return
        }
        assert.deepEqual(read(whole), expected === undefined ? [] : [expected])
      }),
      { numRuns: 2_000 },
    )
  })
})
