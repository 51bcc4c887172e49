import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FrameReader } from '../../../shared/mux/frame-reader.ts'

import { Route } from '../../../shared/mux/route.ts'
import type { RouteLeg } from '../../../shared/mux/route-leg.ts'
import { MAX_UNSENT_BYTES, SendHalf } from '../../../shared/mux/send-half.ts'
import type { Session } from '../../../shared/mux/session.ts'
import type { OpenFrame } from '../../../shared/mux/session-handler.ts'
import { createWindowBudget, MAX_WINDOW } from '../../../shared/mux/window.ts'

const BUDGET = createWindowBudget(1 << 30)

const MIB = 1_048_576
const GREEDY = 2 ** 50
const PIECE = new Uint8Array(16_000)

describe('a reader that grants without end and consumes nothing', () => {
  test('what all senders keep beyond 256 KiB each comes out of one budget, and goes back', () => {
    const budget = createWindowBudget(1_000_000)
    const halves = [1, 2, 3].map(() => new SendHalf(GREEDY, budget))
    const kept = () => halves.reduce((sum, half) => sum + half.keptBytes, 0)
    const fill = (half: SendHalf) => {
      while (half.room > 0) half.write(new Uint8Array(10_000))
      while (half.take(16_360) !== undefined);
    }
    for (let round = 0; round < 100; round++) halves.forEach(fill)
    assert.ok(kept() >= 3 * 262_144 && kept() <= 3 * 262_144 + 1_000_000 + 3 * 10_000, `${kept()} bytes kept`)
    for (const half of halves) half.credit(GREEDY, half.endOffset)
    assert.equal(budget.used, 0)
  })

  test('is sent a window, and no more is kept for it', () => {
    const half = new SendHalf(GREEDY, BUDGET)
    while (half.room > 0) {
      half.write(PIECE)
      while (half.take(16_360) !== undefined);
    }
    assert.ok(half.keptBytes >= MAX_WINDOW)
    assert.ok(half.keptBytes <= MAX_WINDOW + MAX_UNSENT_BYTES)
  })

  test('goes on being served when it consumes after all', () => {
    const half = new SendHalf(GREEDY, BUDGET)
    while (half.room > 0) {
      half.write(PIECE)
      while (half.take(16_360) !== undefined);
    }
    half.credit(GREEDY, MIB)
    assert.ok(half.room > 0)
  })

  test('on a hundred streams costs the relay a bounded queue, and each stream hears of what it missed', () => {
    const lost = new Set<number>()
    const legs: RouteLeg[] = []
    const slow = fakeSession(legs, (id) => lost.add(id))
    const inward: RouteLeg[] = []
    const fast = fakeSession(inward, () => assert.fail('the fast side was told'))
    for (let index = 0; index < 100; index++) {
      const frame = { id: 2 * index + 1, flags: 0, maxOffset: GREEDY, priority: 0, hops: 0 } as OpenFrame
      const route = new Route(slow, frame, { accepted() {}, ended() {} })
      route.forward(fast, frame, Uint8Array.of(0xa0))
    }
    for (let offset = 0; offset < 4 * MIB; offset += PIECE.length) {
      for (const leg of inward) leg.receiveData(offset, PIECE, 0)
    }
    assert.ok(slow.queuedBytes > 60 * MIB)
    assert.ok(slow.queuedBytes <= 64 * MIB + 100 * PIECE.length)
    for (const leg of legs) {
      assert.ok(leg.isReady)
      while (leg.next(16_360) !== undefined);
    }
    assert.equal(slow.queuedBytes, 0)
    assert.equal(lost.size, 100)
  })
})

/** A session that sends nothing: it keeps the legs that are put on it and tells of each PATH_LOST. */
function fakeSession(legs: RouteLeg[], onPathLost: (id: number) => void): Session {
  let nextId = 2
  const reader = new FrameReader({
    data() {},
    control: (frame) => {
      if (frame.type === 'PATH_LOST') onPathLost(frame.id)
    },
  })
  const session = {
    queuedBytes: 0,
    place: (_id: number, leg: RouteLeg) => legs.push(leg),
    takeId: () => {
      nextId += 2
      return nextId
    },
    control: (bytes: Uint8Array) => reader.push(bytes),
    ready() {},
    creditDue() {},
    remove() {},
  }
  return session as unknown as Session
}
