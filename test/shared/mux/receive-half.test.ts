import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isTunnelError } from '../../../shared/errors.ts'
import { type Arrival, ReceiveHalf } from '../../../shared/mux/receive-half.ts'
import { createWindowBudget, INITIAL_WINDOW } from '../../../shared/mux/window.ts'

const BUDGET = createWindowBudget(1 << 24)

function pattern(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => ((from + index) * 7) & 0xff)
}

/** A half with what it handed on. */
function createHalf(granted: number) {
  let got = new Uint8Array(0)
  let ends = 0
  const half = new ReceiveHalf(BUDGET, granted, {
    data: (bytes) => {
      got = Uint8Array.from(Buffer.concat([got, bytes]))
    },
    ended: () => ends++,
  })
  return {
    half,
    got: () => got,
    ends: () => ends,
    accept(offset: number, length: number, fin = false): Arrival {
      return half.accept(offset, pattern(offset, length), fin, 0)
    },
  }
}

describe('a receiving half', () => {
  test('hands on early bytes once the gap before them is closed', () => {
    const { accept, got, ends } = createHalf(100)
    assert.equal(accept(10, 5, true), 'early')
    assert.equal(accept(5, 5), 'early')
    assert.deepEqual(got(), pattern(0, 0))
    assert.equal(ends(), 0)
    assert.equal(accept(0, 5), 'taken')
    assert.deepEqual(got(), pattern(0, 15))
    assert.equal(ends(), 1)
  })

  test('tells the end once, however often FIN comes', () => {
    const { half, accept, ends } = createHalf(100)
    accept(0, 3, true)
    accept(0, 3, true)
    accept(3, 0, true)
    assert.equal(ends(), 1)
    assert.equal(half.isReceiving, false)
    assert.equal(half.isDelivered, false)
    half.consume(3)
    assert.equal(half.isDelivered, true)
  })

  test('refuses bytes beyond its grant, and changes nothing', () => {
    const { half, accept, got } = createHalf(10)
    assert.throws(() => accept(5, 6), { code: 'FLOW_CONTROL' })
    assert.throws(() => accept(0, 11, true), { code: 'FLOW_CONTROL' })
    assert.equal(half.received, 0)
    assert.equal(half.bufferedBytes, 0)
    accept(0, 10)
    assert.deepEqual(got(), pattern(0, 10))
  })

  test('refuses what contradicts FIN, and changes nothing', () => {
    const { half, accept, ends } = createHalf(100)
    accept(10, 5)
    assert.throws(() => accept(0, 12, true), { code: 'PROTOCOL' }, 'FIN before bytes that came')
    accept(20, 0, true)
    assert.throws(() => accept(18, 3), { code: 'PROTOCOL' }, 'bytes behind FIN')
    assert.throws(() => accept(0, 19, true), { code: 'PROTOCOL' }, 'another FIN')
    assert.throws(() => accept(0, 21, true), { code: 'PROTOCOL' }, 'another FIN')
    assert.equal(half.received, 0)
    accept(0, 20)
    assert.equal(ends(), 1)
  })

  test('owes a CREDIT once 16 KiB are consumed, then for each half of the window, and one more at the end', () => {
    const { half, accept } = createHalf(INITIAL_WINDOW)
    accept(0, INITIAL_WINDOW)
    half.consume(16_383)
    assert.equal(half.isCreditDue, false)
    half.consume(1)
    assert.equal(half.isCreditDue, true)
    assert.deepEqual(half.grant(0), { maxOffset: INITIAL_WINDOW + 16_384, consumed: 16_384, fin: false })
    half.consume(INITIAL_WINDOW / 2 - 1)
    assert.equal(half.isCreditDue, false)
    half.consume(1)
    assert.equal(half.isCreditDue, true)
    assert.deepEqual(half.grant(0), {
      maxOffset: INITIAL_WINDOW * 1.5 + 16_384,
      consumed: INITIAL_WINDOW / 2 + 16_384,
      fin: false,
    })
    assert.equal(half.isCreditDue, false)
    accept(INITIAL_WINDOW, 0, true)
    assert.equal(half.isCreditDue, false)
    half.consume(INITIAL_WINDOW / 2 - 16_384)
    assert.equal(half.isCreditDue, true)
    assert.deepEqual(half.grant(0), {
      maxOffset: INITIAL_WINDOW * 1.5 + 16_384,
      consumed: INITIAL_WINDOW,
      fin: true,
    })
    assert.equal(half.isCreditDue, false)
    half.repeatEnd()
    assert.equal(half.isCreditDue, true)
  })

  test('grants nothing more once the length is known', () => {
    const { half, accept } = createHalf(INITIAL_WINDOW)
    accept(INITIAL_WINDOW - 1, 1, true)
    accept(0, INITIAL_WINDOW - 10)
    half.consume(INITIAL_WINDOW - 10)
    assert.equal(half.isCreditDue, false)
    assert.equal(half.grant(0).maxOffset, INITIAL_WINDOW)
  })

  test('cannot consume what has not come', () => {
    const { half, accept } = createHalf(10)
    accept(0, 5)
    assert.throws(() => half.consume(6), { code: 'INTERNAL' })
  })

  test('doubles its window where all of it came behind a gap, as far as the budget goes', () => {
    const budget = createWindowBudget(INITIAL_WINDOW)
    const half = new ReceiveHalf(budget, 100, { data: () => undefined, ended: () => undefined })
    const accept = (offset: number, length: number) => half.accept(offset, pattern(offset, length), false, 0)
    accept(10, 80)
    assert.equal(half.grant(0).maxOffset, INITIAL_WINDOW)
    accept(INITIAL_WINDOW - 10, 10)
    assert.equal(half.isCreditDue, true)
    assert.equal(half.grant(0).maxOffset, 2 * INITIAL_WINDOW)
    accept(2 * INITIAL_WINDOW - 10, 10)
    assert.equal(half.isCreditDue, false)
    assert.equal(budget.used, INITIAL_WINDOW)
  })

  test('keeps at most 1,024 early pieces', () => {
    const { half, accept } = createHalf(10_000)
    for (let count = 0; count < 1_024; count++) assert.equal(accept(2 + count * 2, 1), 'early')
    assert.equal(accept(5_000, 1), 'dropped')
    assert.equal(half.bufferedBytes, 1_024)
  })

  test('keeps no more early bytes than its grant, however they overlap', () => {
    const { half, accept, got } = createHalf(1_000)
    for (let offset = 100; offset > 0; offset--) assert.equal(accept(offset, 500), 'early')
    for (let offset = 1; offset < 600; offset += 7) assert.equal(accept(offset, 400), 'early')
    assert.equal(half.bufferedBytes, 995)
    accept(0, 1_000)
    assert.deepEqual(got(), pattern(0, 1_000))
    assert.equal(half.bufferedBytes, 1_000)
  })

  test('an early piece does not keep the chunk that brought it', () => {
    const chunk = new Uint8Array(65_536)
    const buffers: ArrayBufferLike[] = []
    const half = new ReceiveHalf(BUDGET, 100, {
      data: (bytes) => buffers.push(bytes.buffer),
      ended: () => undefined,
    })
    half.accept(1, chunk.subarray(500, 501), false, 0)
    half.accept(0, chunk.subarray(0, 1), false, 0)
    assert.equal(buffers[0], chunk.buffer)
    assert.equal(buffers[1]?.byteLength, 1)
  })

  test('hands nothing on after it was dropped, and takes nothing from the budget', () => {
    const budget = createWindowBudget(1 << 24)
    let offset = 0
    let isDropping = false
    let calls = 0
    const half: ReceiveHalf = new ReceiveHalf(budget, INITIAL_WINDOW, {
      data: (bytes) => {
        calls++
        half.consume(bytes.length)
        if (isDropping) half.drop()
      },
      ended: () => calls++,
    })
    // A sender that stands at every limit until the grant comes: the next held-back byte would double the window.
    half.accept(offset, pattern(0, INITIAL_WINDOW), false, 0)
    for (let round = 0; round < 2; round++) {
      offset = half.grantedOffset
      half.grant(round * 10)
      const length = round === 0 ? half.grantedOffset - offset : 10
      isDropping = round === 1
      half.accept(offset + 20, pattern(0, 5), isDropping, round * 10 + 5)
      calls = 0
      half.accept(offset, pattern(0, length), false, round * 10 + 5)
    }
    assert.equal(calls, 1)
    assert.equal(budget.used, 0)
  })
})

describe('beside an array', () => {
  const LENGTH = 120
  const DATA = pattern(0, LENGTH)
  const piece = fc.record({ offset: fc.nat(LENGTH), length: fc.nat(40), hasFin: fc.boolean() })

  test('pieces in any order, repeated and overlapping, give every byte once and in order', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: LENGTH + 30 }),
        fc.array(piece, { maxLength: 60 }),
        (granted, pieces) => {
          const { half, accept, got, ends } = createHalf(granted)
          // One place more than there are bytes, so that something is always missing.
          const has = new Array<boolean>(LENGTH + 1).fill(false)
          let hasFin = false
          for (const { offset, length, ...wish } of pieces) {
            const end = Math.min(LENGTH, offset + length)
            const fin = wish.hasFin && end === LENGTH
            const act = () => accept(offset, end - offset, fin)
            if (end > granted) {
              const before = [half.received, half.bufferedBytes]
              assert.throws(act, { code: 'FLOW_CONTROL' })
              assert.deepEqual([half.received, half.bufferedBytes], before)
            } else {
              hasFin = fin || hasFin
              assert.notEqual(act(), 'dropped')
              has.fill(true, offset, end)
            }
            const received = has.indexOf(false)
            assert.equal(half.received, received)
            assert.equal(half.bufferedBytes, has.filter(Boolean).length)
            assert.deepEqual(got(), DATA.subarray(0, received))
            assert.equal(ends(), hasFin && received === LENGTH ? 1 : 0)
          }
        },
      ),
      { numRuns: 2_000 },
    )
  })

  test('a peer that sends anything is refused with a typed error or obeyed within the grant', () => {
    const wild = fc.record({ offset: fc.nat(150), length: fc.nat(80), fin: fc.boolean() })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 120 }), fc.array(wild, { maxLength: 40 }), (granted, pieces) => {
        const { half, accept, got } = createHalf(granted)
        for (const { offset, length, fin } of pieces) {
          try {
            accept(offset, length, fin)
          } catch (error) {
            assert.ok(isTunnelError(error))
          }
          assert.ok(half.received <= granted && half.bufferedBytes <= granted)
          assert.equal(got().length, half.received)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})
