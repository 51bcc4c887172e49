import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { INITIAL_CREDIT, MAX_META_BYTES } from '../../../shared/mux/frame.ts'
import { INITIAL_WINDOW } from '../../../shared/mux/window.ts'
import type { SessionEnd } from '../../support/session-end.ts'
import { createPair } from '../../support/session-pair.ts'

/** Leaves each OPEN unanswered until the test accepts it. */
const unanswered = {
  opening: (end: SessionEnd, frame: Parameters<SessionEnd['admit']>[0]) => {
    end.admit(frame)
  },
}

const OK_META = Uint8Array.of(0xa0)

describe('opening', () => {
  test('early data is there before the answer, and the answer reaches the opener once', () => {
    const pair = createPair({ delayMs: 20, ...unanswered })
    const opener = pair.peer.open()
    opener.write(1_000)
    pair.run(20)
    assert.equal(pair.relay.peer().received, 1_000)
    assert.deepEqual(opener.meta, [])
    pair.relay.peer().live.accept(OK_META, pair.effects.now())
    pair.relay.peer().write(500)
    pair.run(20)
    assert.deepEqual(opener.meta, [OK_META])
    assert.equal(opener.received, 500)
  })

  test('an opener sends its initial credit and no more before the answer', () => {
    const pair = createPair({ ...unanswered })
    const opener = pair.peer.open()
    opener.write(200_000)
    assert.ok(opener.live.room <= 0)
    pair.run(1_000)
    assert.equal(pair.relay.peer().received, INITIAL_CREDIT)
    pair.relay.peer().live.accept(OK_META, pair.effects.now())
    pair.run(1_000)
    assert.equal(pair.relay.peer().received, 200_000)
    assert.equal(opener.writables, 1)
  })

  test('hundreds of streams opened at once with early data all arrive: no DATA overtakes its OPEN', () => {
    const pair = createPair({ cuts: 'random' })
    const openers = Array.from({ length: 250 }, () => pair.peer.open(0, 500))
    for (const opener of openers) opener.write(100)
    pair.run(1_000)
    assert.deepEqual([pair.peer.error, pair.relay.error], [undefined, undefined])
    assert.deepEqual(
      pair.relay.accepted.map((probe) => probe.received),
      openers.map(() => 100),
    )
  })

  test('a refusal is the typed error of the opener, and nothing is left', () => {
    const pair = createPair({
      opening: (end, frame) => end.admit(frame).reset('DENIED_BY_SITE', 'no such rule'),
    })
    const opener = pair.peer.open()
    opener.write(50_000)
    pair.run(1_000)
    assert.equal(opener.code, 'DENIED_BY_SITE')
    assert.equal(opener.closedWith?.detail, 'no such rule')
    pair.assertClean()
  })

  test('an acceptor whose opener gave up may still answer: nothing happens', () => {
    const pair = createPair({ ...unanswered })
    const opener = pair.peer.open()
    pair.run(10)
    opener.live.reset('CANCELLED')
    pair.run(10)
    const acceptor = pair.relay.peer()
    assert.equal(acceptor.code, 'CANCELLED')
    acceptor.live.accept(OK_META, pair.effects.now())
    acceptor.live.write(OK_META)
    acceptor.live.end()
    acceptor.live.reset('INTERNAL')
    acceptor.live.consume(5)
    pair.run(1_000)
    assert.equal(pair.peer.error, undefined)
    pair.assertClean()
  })

  test('both sides may open', () => {
    const pair = createPair()
    const fromRelay = pair.relay.open(9)
    const fromPeer = pair.peer.open(3)
    fromRelay.write(10)
    fromPeer.write(20)
    pair.run(100)
    assert.equal(fromRelay.live.id % 2, 0)
    assert.equal(fromPeer.live.id % 2, 1)
    assert.equal(pair.peer.peer().received, 10)
    assert.equal(pair.relay.peer().received, 20)
  })
})

describe('moving bytes', () => {
  for (const cuts of ['none', 'random'] as const) {
    test(`megabytes both ways arrive in order (chunks cut: ${cuts})`, () => {
      const pair = createPair({ delayMs: 5, rate: 20_000, cuts })
      const opener = pair.peer.open()
      opener.write(2_000_000, 30_000)
      pair.run(50)
      const acceptor = pair.relay.peer()
      acceptor.write(3_000_000, 65_536)
      opener.live.end()
      acceptor.live.end()
      pair.run(5_000)
      assert.deepEqual([acceptor.received, opener.received], [2_000_000, 3_000_000])
      assert.deepEqual([acceptor.closedWith, opener.closedWith], [null, null])
      pair.assertClean()
    })
  }

  test('a reader that reads nothing stops its sender at the window, and another stream goes on', () => {
    const pair = createPair({ delayMs: 5 })
    const stuck = pair.peer.open(0)
    const free = pair.peer.open(10)
    pair.run(20)
    pair.relay.peer(0).isEager = false
    stuck.write(1_000_000)
    free.write(1_000_000)
    pair.run(2_000)
    assert.equal(pair.relay.peer(0).received, INITIAL_WINDOW)
    assert.equal(pair.relay.peer(1).received, 1_000_000)
    for (let step = 0; step < 100; step++) {
      pair.relay.peer(0).consume(20_000)
      pair.run(20)
      assert.ok(pair.relay.peer(0).live.heldBytes <= INITIAL_WINDOW * 4)
    }
    assert.equal(pair.relay.peer(0).received, 1_000_000)
    stuck.live.reset('CANCELLED')
    free.live.reset('CANCELLED')
    pair.run(100)
    pair.assertClean()
  })

  test('a writer that heeds `room` holds little, and hears when there is room', () => {
    const pair = createPair({ delayMs: 5, rate: 5_000 })
    const opener = pair.peer.open()
    pair.run(20)
    for (let step = 0; step < 2_000 && opener.written < 3_000_000; step++) {
      while (opener.live.room > 0) opener.write(16_384)
      assert.ok(opener.live.heldBytes <= 2_000_000, `${opener.live.heldBytes} held`)
      const before = opener.writables
      while (opener.writables === before) {
        assert.ok(pair.effects.now() < 100_000)
        pair.run(1)
      }
    }
    assert.ok(opener.written >= 3_000_000)
  })

  test('a small request overtakes a bulk transfer on a slow link', () => {
    const pair = createPair({ delayMs: 20, rate: 6_250 })
    const bulk = pair.peer.open(0)
    pair.run(100)
    bulk.write(20_000_000, 65_536)
    pair.run(2_000)
    const small = pair.peer.open(10)
    small.write(100)
    pair.run(100)
    assert.equal(pair.relay.peer(1).received, 100)
    assert.ok(pair.relay.peer(0).received < 20_000_000)
  })
})

test('notices arrive as they were sent, in both directions', () => {
  const pair = createPair({ cuts: 'random' })
  const longest = new Uint8Array(MAX_META_BYTES).fill(7)
  pair.peer.session.sendNotice(OK_META)
  pair.peer.session.sendNotice(longest)
  pair.relay.session.sendNotice(OK_META)
  pair.run(100)
  assert.deepEqual(pair.relay.notices, [OK_META, longest])
  assert.deepEqual(pair.peer.notices, [OK_META])
})
