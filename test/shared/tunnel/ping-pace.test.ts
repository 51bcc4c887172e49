import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createPingPace,
  intervalUnder,
  jitteredInterval,
  PING_INTERVAL_MIN_MS,
  PING_INTERVAL_MS,
  type SessionCut,
  sessionCut,
} from '../../../shared/tunnel/liveness.ts'

const MINUTE_MS = 60_000

/** A session that was idle from its beginning. */
function cut(idleMs: number, ended: number): SessionCut {
  return { began: ended - idleMs, ended, idleMs }
}

test('two idle sessions that are cut one after the other halve the silence between questions', () => {
  const pace = createPingPace(PING_INTERVAL_MS)
  assert.equal(sessionCut(pace, cut(15_000, 0)), false)
  assert.equal(pace.intervalMs, PING_INTERVAL_MS)
  assert.equal(sessionCut(pace, cut(15_200, 16_000)), true)
  assert.ok(pace.intervalMs * 1.2 < 15_000, `${pace.intervalMs} ms`)
})

test('a path that swallows what comes after 9 s of silence is learnt in a few rounds', () => {
  const pace = createPingPace(PING_INTERVAL_MS)
  let at = 0
  let cuts = 0
  for (let jitter = 0; pace.intervalMs * 1.2 > 9_000; jitter = (jitter + 0.37) % 1) {
    const idleMs = jitteredInterval(pace.intervalMs, { random: () => jitter })
    at += idleMs + 12_000
    sessionCut(pace, cut(idleMs, at))
    cuts++
    assert.ok(cuts < 7, 'does not adapt')
  }
})

test('one cut, cuts of busy sessions, cuts far apart and cuts of unlike length teach nothing', () => {
  for (const cuts of [
    [[20_000, 0]],
    [
      [500, 0],
      [500, 1_000],
    ],
    [
      [20_000, 0],
      [500, 20_000],
      [20_000, 40_000],
    ],
    [
      [20_000, 0],
      [20_000, 11 * MINUTE_MS],
    ],
    [
      [3_000, 0],
      [18_000, 20_000],
    ],
  ] as const) {
    const pace = createPingPace(PING_INTERVAL_MS)
    for (const [idleMs, at] of cuts) assert.equal(sessionCut(pace, cut(idleMs, at)), false)
    assert.equal(pace.intervalMs, PING_INTERVAL_MS)
  }
})

test('two sessions that end together are one cut', () => {
  const pace = createPingPace(PING_INTERVAL_MS)
  assert.equal(sessionCut(pace, cut(15_000, 20_000)), false)
  assert.equal(sessionCut(pace, cut(15_000, 20_100)), false)
  assert.equal(sessionCut(pace, cut(15_000, 36_000)), true)
})

test('the interval never goes below its floor, and ends of a relay that is gone cost no more', () => {
  const pace = createPingPace(PING_INTERVAL_MIN_MS)
  assert.equal(sessionCut(pace, cut(2_100, 0)), false)
  assert.equal(sessionCut(pace, cut(2_100, 2_200)), false)
  assert.equal(pace.intervalMs, PING_INTERVAL_MIN_MS)
})

test('the interval chosen for a measured path stays under it, jitter and all', () => {
  for (const heldMs of [5_000, 10_000, 30_000, 300_000]) {
    assert.ok(intervalUnder(heldMs) * 1.2 <= heldMs * 0.75)
  }
  assert.equal(intervalUnder(1_000), PING_INTERVAL_MIN_MS)
})
