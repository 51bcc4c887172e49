import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ReceiveHalf } from '../../../shared/mux/receive-half.ts'
import {
  createWindowBudget,
  INITIAL_WINDOW,
  MAX_WINDOW,
  WINDOW_IDLE_MS,
  type WindowBudget,
  WindowTuner,
} from '../../../shared/mux/window.ts'

const PIECE = 16_360

/**
 * A sender of `rate` bytes per ms behind a round trip of `rttMs`, into a reader that consumes at once, for `ms`.
 * Gives the receiver's half. Bytes move in steps of one ms, in pieces of one frame that never pass the grant.
 */
function runTransfer(options: { budget: WindowBudget; rate: number; rttMs: number; ms: number }) {
  const half: ReceiveHalf = new ReceiveHalf(options.budget, INITIAL_WINDOW, {
    data: (bytes) => half.consume(bytes.length),
    ended: () => {},
  })
  const underWay: { at: number; offset: number; length: number }[] = []
  const grants: { at: number; maxOffset: number }[] = []
  let limit = INITIAL_WINDOW
  let sent = 0
  let written = 0
  for (let now = 0; now < options.ms; now++) {
    while ((grants[0]?.at ?? Number.POSITIVE_INFINITY) <= now) limit = grants.shift()?.maxOffset ?? limit
    written = Math.min(written + options.rate, sent + 4 * INITIAL_WINDOW)
    while (sent < limit && sent < Math.floor(written)) {
      const length = Math.min(PIECE, limit - sent, Math.floor(written) - sent)
      underWay.push({ at: now + options.rttMs / 2, offset: sent, length })
      sent += length
    }
    while ((underWay[0]?.at ?? Number.POSITIVE_INFINITY) <= now) {
      const { offset, length } = underWay.shift() as { offset: number; length: number }
      half.accept(offset, new Uint8Array(length), false, now)
      if (half.isCreditDue) grants.push({ at: now + options.rttMs / 2, maxOffset: half.grant(now).maxOffset })
    }
  }
  return { half, sent }
}

describe('a window', () => {
  test('grows for a sender that it holds back, until it does so no more', () => {
    const budget = createWindowBudget(1 << 30)
    const { sent } = runTransfer({ budget, rate: 20_000, rttMs: 100, ms: 5_000 })
    // 20 MB/s over 100 ms need 2 MB under way and half as much again for the credit to come back.
    const size = budget.used + INITIAL_WINDOW
    assert.ok(size >= 2_097_152 && size <= 8_388_608, `window ${size}`)
    assert.ok(sent > 0.8 * 20_000 * 5_000, `${sent} sent`)
  })

  test('stays as it is for a steady sender that it does not hold back', () => {
    for (const rate of [10, 100, 500, 1_000]) {
      const budget = createWindowBudget(1 << 30)
      runTransfer({ budget, rate, rttMs: 100, ms: 20_000 })
      assert.equal(budget.used, 0, `${rate} bytes per ms`)
    }
  })

  test('never passes 16 MiB', () => {
    const budget = createWindowBudget(1 << 30)
    runTransfer({ budget, rate: 2_000_000, rttMs: 100, ms: 3_000 })
    assert.equal(budget.used, MAX_WINDOW - INITIAL_WINDOW)
  })

  test('takes no more than the budget has, and gives it back at the end', () => {
    const budget = createWindowBudget(1_000_000)
    const { half } = runTransfer({ budget, rate: 20_000, rttMs: 100, ms: 5_000 })
    assert.equal(budget.used, 3 * INITIAL_WINDOW)
    half.drop()
    assert.equal(budget.used, 0)
    half.drop()
    assert.equal(budget.used, 0)
  })

  test('goes back to its first size after 30 s without a byte, not before', () => {
    const budget = createWindowBudget(1 << 30)
    const ms = 5_000
    const { half } = runTransfer({ budget, rate: 20_000, rttMs: 100, ms })
    const grown = budget.used
    assert.ok(grown > 0)
    half.shrinkIfIdle(ms + WINDOW_IDLE_MS - 200)
    assert.equal(budget.used, grown)
    half.shrinkIfIdle(ms + WINDOW_IDLE_MS)
    assert.equal(budget.used, 0)
  })

  test('does not take part in a pause of the reader: one late byte is no sign', () => {
    const budget = createWindowBudget(1 << 30)
    const tuner = new WindowTuner(budget)
    let offset = INITIAL_WINDOW
    let now = 0
    for (const pauseMs of [10, 100, 10, 100, 10, 100]) {
      tuner.received(offset, now)
      tuner.granted(offset, now)
      now += pauseMs
      tuner.received(offset + 1, now)
      offset += INITIAL_WINDOW / 2
    }
    assert.equal(budget.used, 0)
  })
})

describe('a budget', () => {
  test('gives what is there and no byte more', () => {
    const budget = createWindowBudget(100)
    assert.equal(budget.reserve(60), true)
    assert.equal(budget.reserve(41), false)
    assert.equal(budget.used, 60)
    assert.equal(budget.reserve(40), true)
    budget.free(100)
    assert.equal(budget.used, 0)
  })
})
