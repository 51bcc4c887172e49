import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { CAP, InFlight } from '../../../shared/mux/in-flight.ts'
import { SimulatedPath } from './simulated-path.ts'

/** Bytes per ms of one Mbit/s. */
const MBIT = 125

function createPath(mbit: number, rttMs: number, demand = Number.POSITIVE_INFINITY): SimulatedPath {
  return new SimulatedPath(new InFlight(), { rate: mbit * MBIT, rttMs, demand })
}

/** Share of the path's rate that goes through in the next `ms`. */
function shareOf(path: SimulatedPath, ms: number): number {
  return path.run(ms) / (ms * path.options.rate)
}

describe('on a path that stays the same', () => {
  for (const [mbit, rttMs] of [
    [1, 40],
    [10, 40],
    [50, 1],
    [50, 40],
    [100, 10],
    [20, 300],
    [200, 150],
    [500, 80],
    [1_000, 0.5],
  ] as const) {
    test(`of ${mbit} Mbit/s and ${rttMs} ms, at least nine tenths are used, and 97 % once it is known`, () => {
      const path = createPath(mbit, rttMs)
      const long = mbit >= 200 ? 4_000 : 20_000
      const first = shareOf(path, long)
      assert.ok(first >= 0.9, `${first} at first`)
      const later = shareOf(path, 15_000)
      assert.ok(later >= 0.97, `${later} later`)
    })
  }

  test('the queue stays about one round trip long for minutes', () => {
    const path = createPath(50, 40)
    path.run(5_000)
    // One ACK stands for 32 KiB, which is 5 ms of this path.
    for (let minute = 0; minute < 3; minute++) {
      path.measure()
      path.run(60_000)
      assert.ok(path.meanQueueMs <= 1.2 * 40 + 6, `${path.meanQueueMs} ms on average`)
      assert.ok(path.worstQueueMs <= 2 * 40 + 6, `${path.worstQueueMs} ms at worst`)
    }
  })

  test('the start does not fill a long queue', () => {
    const path = createPath(50, 40)
    path.run(5_000)
    assert.ok(path.worstQueueMs <= 160, `${path.worstQueueMs} ms`)
  })

  test('the bare round trip shows in each drain, though a queue always stands', () => {
    const path = createPath(50, 40)
    let drains = 0
    let drainedAt = 0
    for (let tick = 0; tick < 3_000; tick++) {
      const before = path.inFlight.phase
      path.run(20)
      if (before !== 'drain' && path.inFlight.phase === 'drain') drains++
      if (path.inFlight.phase === 'drain') drainedAt = path.now
      // The samples of the drain itself come a round trip behind it.
      if (path.now - drainedAt > 200) {
        assert.ok(path.inFlight.minRttMs < 60, `${path.inFlight.minRttMs} ms at ${path.now}`)
      }
    }
    assert.ok(drains >= 4 && drains <= 6, `${drains} drains`)
  })

  test('with small answers on it the queue becomes a quarter of a round trip, and nine tenths are still used', () => {
    const path = createPath(50, 40)
    path.run(20_000)
    path.inFlight.isShared = true
    path.run(1_000)
    path.measure()
    const share = shareOf(path, 20_000)
    assert.ok(path.meanQueueMs <= 0.25 * 40 + 6, `${path.meanQueueMs} ms on average`)
    assert.ok(share >= 0.9, `${share} used`)
    path.inFlight.isShared = false
    path.run(1_000)
    assert.ok(shareOf(path, 20_000) >= 0.97)
  })

  test('a drain costs less than 3 %', () => {
    for (const [mbit, rttMs] of [
      [50, 40],
      [200, 150],
    ] as const) {
      const path = createPath(mbit, rttMs)
      path.run(15_000)
      const share = shareOf(path, 30_000)
      assert.ok(share > 0.97, `${share} of ${mbit} Mbit/s`)
    }
  })
})

describe('on a path that changes', () => {
  test('a slower path is found within seconds, and the queue shrinks again', () => {
    const path = createPath(50, 40)
    path.run(15_000)
    path.options.rate = 10 * MBIT
    path.run(5_000)
    path.measure()
    const share = shareOf(path, 30_000)
    assert.ok(share >= 0.97, `${share}`)
    assert.ok(path.worstQueueMs <= 120, `${path.worstQueueMs} ms`)
  })

  test('a faster path is used within two seconds', () => {
    const path = createPath(10, 40)
    path.run(15_000)
    path.options.rate = 200 * MBIT
    path.run(2_000)
    const share = shareOf(path, 5_000)
    assert.ok(share >= 0.9, `${share}`)
  })

  test('a longer or shorter round trip is found at the next drain', () => {
    const path = createPath(50, 40)
    path.run(15_000)
    path.options.rttMs = 200
    path.run(12_000)
    const longer = shareOf(path, 10_000)
    assert.ok(longer >= 0.9, `${longer} of the longer path`)
    path.options.rttMs = 20
    path.run(35_000)
    path.measure()
    const shorter = shareOf(path, 10_000)
    assert.ok(shorter >= 0.97, `${shorter} of the shorter path`)
    assert.ok(path.worstQueueMs <= 90, `${path.worstQueueMs} ms`)
  })
})

describe('with an application that pauses', () => {
  test('less than the path can carry passes without a queue', () => {
    for (const share of [0.1, 0.5, 0.9]) {
      const path = createPath(50, 40, 50 * MBIT * share)
      path.run(5_000)
      path.measure()
      const got = shareOf(path, 10_000)
      assert.ok(Math.abs(got - share) < 0.01, `${got} of ${share}`)
      assert.ok(path.worstQueueMs < 10, `${path.worstQueueMs} ms`)
    }
  })

  test('a pause of any length does not make the cap collapse', () => {
    for (const [onMs, offMs] of [
      [200, 3_000],
      [1_000, 12_000],
      [2_000, 31_000],
    ] as const) {
      const path = createPath(200, 40)
      path.run(5_000)
      for (let burst = 0; burst < 10; burst++) {
        path.options.demand = 0
        path.run(offMs)
        path.options.demand = Number.POSITIVE_INFINITY
        const share = shareOf(path, onMs)
        assert.ok(share >= 0.75, `${share} of burst ${burst} after ${offMs} ms`)
        assert.ok(path.inFlight.cap >= 500_000, `cap of ${path.inFlight.cap}`)
      }
    }
  })
})

describe('whatever is acknowledged', () => {
  test('an ACK of bytes that were never sent is refused and changes nothing', () => {
    const inFlight = new InFlight()
    inFlight.sent(1_000, 0)
    assert.equal(inFlight.acknowledged(1_001, 0, 5), false)
    assert.equal(inFlight.bytes, 1_000)
    assert.equal(inFlight.minRttMs, Number.POSITIVE_INFINITY)
    assert.equal(inFlight.acknowledged(1_000, 0, 5), true)
    assert.equal(inFlight.acknowledged(400, 0, 6), true)
    assert.equal(inFlight.bytes, 0)
    assert.equal(inFlight.minRttMs, 5)
  })

  test('the time for which the receiver held its answer does not count', () => {
    const inFlight = new InFlight()
    inFlight.sent(1_000, 0)
    inFlight.acknowledged(1_000, 20, 25)
    assert.equal(inFlight.minRttMs, 5)
  })

  test('the cap stays within its limits and there is always room again once all is acknowledged', () => {
    const step = fc.record({
      frames: fc.nat(40),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      holdMs: fc.constantFrom(0, 1, 20, 4_000_000),
      ms: fc.oneof(fc.nat(5), fc.nat(2_000), fc.constant(40_000)),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const inFlight = new InFlight()
        let sent = 0
        let acknowledged = 0
        let now = 0
        for (const { frames, share, holdMs, ms } of steps) {
          for (let count = 0; count < frames && inFlight.room > 0; count++) {
            inFlight.sent(16_376, now)
            sent += 16_376
          }
          now += ms
          acknowledged += Math.round((sent - acknowledged) * share)
          assert.equal(inFlight.acknowledged(acknowledged, holdMs, now), true)
          assert.ok(inFlight.cap >= CAP.min / 2 && inFlight.cap <= CAP.max, `cap of ${inFlight.cap}`)
          assert.ok(inFlight.bytes <= CAP.max + 16_376)
        }
        inFlight.acknowledged(sent, 0, now)
        assert.ok(inFlight.room > 0)
      }),
      { numRuns: 300 },
    )
  })
})

describe('stalls', () => {
  for (const [mbit, rttMs] of [
    [1, 40],
    [50, 40],
    [400, 50],
    [20, 300],
    [1_000, 0.5],
  ] as const) {
    test(`are hardly seen on a full path of ${mbit} Mbit/s and ${rttMs} ms that loses nothing`, () => {
      const path = createPath(mbit, rttMs)
      path.run(mbit >= 200 ? 20_000 : 60_000)
      assert.ok(path.inFlight.stalls <= path.now / 10_000, `${path.inFlight.stalls} in ${path.now} ms`)
    })
  }

  test('are counted where nothing is acknowledged for a round trip, and only while data is out', () => {
    const path = createPath(50, 40)
    path.run(5_000)
    const before = path.inFlight.stalls
    path.outage(60)
    path.run(500)
    assert.equal(path.inFlight.stalls - before, 1)
  })

  test('are not what slow start looks like: pauses after a begin do not count', () => {
    const path = createPath(50, 40)
    path.run(5_000)
    const { inFlight } = path
    const now = path.now + 60_000
    inFlight.acknowledged(inFlight.acknowledgedBytes + inFlight.bytes, 0, now)
    const before = inFlight.stalls
    let sent = inFlight.acknowledgedBytes
    inFlight.sent(1_000_000, now)
    for (let round = 1; round <= 7; round++) {
      sent += 14_000 * 2 ** (round - 1)
      inFlight.acknowledged(
        Math.min(sent, inFlight.acknowledgedBytes + inFlight.bytes - 1),
        0,
        now + round * 40,
      )
    }
    assert.equal(inFlight.stalls, before)
  })
})
