import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { SessionEnd } from '../../support/session-end.ts'
import { createPair } from '../../support/session-pair.ts'

/** Leaves each OPEN unanswered until the test accepts it. */
const unanswered = {
  opening: (end: SessionEnd, frame: Parameters<SessionEnd['admit']>[0]) => {
    end.admit(frame)
  },
}

const OK_META = Uint8Array.of(0xa0)

describe('ending', () => {
  for (const order of ['opener first', 'acceptor first', 'both at once', 'before the answer'] as const) {
    test(`FIN of both sides closes both cleanly: ${order}`, () => {
      const pair = createPair({ delayMs: 10, ...(order === 'before the answer' ? unanswered : {}) })
      const opener = pair.peer.open()
      opener.write(100)
      if (order === 'before the answer') opener.live.end()
      pair.run(50)
      const acceptor = pair.relay.peer()
      if (order === 'before the answer') {
        assert.equal(acceptor.ends, 1)
        acceptor.live.accept(OK_META, pair.effects.now())
      }
      acceptor.write(200)
      if (order === 'opener first') {
        opener.live.end()
        pair.run(100)
        assert.deepEqual([acceptor.ends, acceptor.closedWith, opener.closedWith], [1, undefined, undefined])
        acceptor.write(50)
      }
      if (order === 'acceptor first') {
        acceptor.live.end()
        pair.run(100)
        assert.deepEqual([opener.ends, opener.closedWith, acceptor.closedWith], [1, undefined, undefined])
        opener.write(50)
      }
      acceptor.live.end()
      opener.live.end()
      pair.run(100)
      assert.deepEqual([opener.closedWith, acceptor.closedWith], [null, null])
      assert.deepEqual([opener.ends, acceptor.ends], [1, 1])
      assert.deepEqual([acceptor.received, opener.received], [opener.written, acceptor.written])
      pair.assertClean()
    })
  }

  test('a stream stays until its reader has consumed all of it', () => {
    const pair = createPair()
    const opener = pair.peer.open()
    pair.run(10)
    const acceptor = pair.relay.peer()
    acceptor.isEager = false
    opener.write(1_000)
    opener.live.end()
    acceptor.live.end()
    pair.run(1_000)
    assert.deepEqual([acceptor.ends, acceptor.closedWith, opener.closedWith], [1, undefined, undefined])
    assert.equal(pair.ledger.unreleased, 1)
    acceptor.consume(1_000)
    pair.run(1_000)
    assert.deepEqual([acceptor.closedWith, opener.closedWith], [null, null])
    pair.assertClean()
  })

  test('RESET ends both directions at once and reaches the far end with code and detail', () => {
    for (const from of ['opener', 'acceptor'] as const) {
      const pair = createPair({ delayMs: 10 })
      const opener = pair.peer.open()
      opener.write(100_000)
      pair.run(50)
      const acceptor = pair.relay.peer()
      const [active, passive] = from === 'opener' ? [opener, acceptor] : [acceptor, opener]
      active.live.reset('TARGET_RESET', 'it hung up')
      assert.equal(active.code, 'TARGET_RESET')
      pair.run(50)
      assert.equal(passive.code, 'TARGET_RESET')
      assert.equal(passive.closedWith?.detail, 'it hung up')
      pair.assertClean()
    }
  })

  test('RESET with OK is a clean end', () => {
    const pair = createPair()
    const opener = pair.peer.open()
    pair.run(10)
    opener.live.reset('OK')
    pair.run(10)
    assert.deepEqual([opener.closedWith, pair.relay.peer().closedWith], [null, null])
  })

  test('STOP makes the sender cut what is unsent and send FIN; the other direction goes on', () => {
    const pair = createPair({ delayMs: 10 })
    const opener = pair.peer.open()
    pair.run(50)
    const acceptor = pair.relay.peer()
    acceptor.isEager = false
    opener.write(1_000_000, 50_000)
    pair.run(100)
    acceptor.live.stop('CANCELLED')
    acceptor.live.consume(10)
    pair.run(100)
    assert.deepEqual(opener.stops, ['CANCELLED'])
    assert.equal(acceptor.ends, 0)
    assert.equal(opener.live.isWriting, false)
    opener.write(1_000)
    assert.equal(pair.ledger.unreleased, 0)
    acceptor.write(5_000)
    acceptor.live.end()
    pair.run(100)
    assert.equal(opener.received, 5_000)
    assert.deepEqual([opener.closedWith, acceptor.closedWith], [null, null])
    pair.assertClean()
  })

  test('a reader that goes away after FIN, with bytes it never took, lets the stream end', () => {
    const pair = createPair()
    const opener = pair.peer.open()
    pair.run(10)
    const acceptor = pair.relay.peer()
    acceptor.isEager = false
    opener.write(1_000)
    opener.live.end()
    pair.run(10)
    acceptor.live.end()
    acceptor.live.stop('CANCELLED')
    pair.run(100)
    assert.deepEqual([acceptor.closedWith, opener.closedWith], [null, null])
    assert.deepEqual(opener.stops, [])
    pair.assertClean()
  })

  test('a reader that resets the stream while it is handed bytes hears nothing more', () => {
    const pair = createPair({ delayMs: 10 })
    const opener = pair.peer.open()
    pair.run(50)
    const acceptor = pair.relay.peer()
    const data = acceptor.data.bind(acceptor)
    acceptor.data = (bytes) => {
      data(bytes)
      acceptor.live.reset('INTERNAL')
    }
    opener.write(100)
    opener.live.end()
    pair.run(100)
    assert.deepEqual([acceptor.code, acceptor.ends, opener.code], ['INTERNAL', 0, 'INTERNAL'])
    pair.assertClean()
  })

  test('late frames of a stream that is over are ignored', () => {
    const pair = createPair({ delayMs: 10, rate: 1_000 })
    const opener = pair.peer.open()
    pair.run(50)
    opener.write(60_000, 1_000)
    pair.run(20)
    pair.relay.peer().live.reset('INTERNAL')
    pair.run(1_000)
    assert.equal(opener.code, 'INTERNAL')
    assert.deepEqual([pair.peer.error, pair.relay.error], [undefined, undefined])
    pair.assertClean()
  })

  test('a connection that breaks loses every stream with SESSION_LOST and gives everything back', () => {
    const pair = createPair({ delayMs: 10 })
    const probes = [pair.peer.open(0), pair.peer.open(10), pair.relay.open(20)]
    for (const probe of probes) probe.write(300_000, 10_000)
    pair.run(50)
    pair.peer.out.close()
    pair.relay.out.close()
    pair.run(50)
    for (const probe of [...probes, ...pair.relay.accepted, ...pair.peer.accepted]) {
      assert.equal(probe.code, 'SESSION_LOST')
    }
    pair.assertClean()
    assert.throws(() => pair.peer.open(), { code: 'SESSION_LOST' })
  })
})

describe('going away', () => {
  test('the peer opens nothing more, streams end in their own time, both sides know', () => {
    const pair = createPair({ delayMs: 10 })
    const opener = pair.peer.open()
    opener.write(500_000, 10_000)
    pair.run(25)
    pair.relay.session.goAway('DRAINING', 30_000, 1_000)
    pair.relay.session.goAway('DRAINING', 1)
    pair.run(100)
    assert.deepEqual(
      pair.peer.goAways.map(({ code, lastId, drainMs, retryAfterMs }) => [
        code,
        lastId,
        drainMs,
        retryAfterMs,
      ]),
      [[23, 1, 30_000, 1_000]],
    )
    assert.equal(pair.peer.session.isOpen, false)
    assert.throws(() => pair.peer.open(), { code: 'DRAINING' })
    const last = pair.relay.open()
    last.live.end()
    pair.run(50)
    pair.peer.peer(0).live.end()
    opener.live.end()
    pair.relay.peer().live.end()
    pair.run(1_000)
    assert.equal(pair.relay.peer().received, 500_000)
    assert.equal(opener.closedWith, null)
    pair.assertClean()
  })

  test('an OPEN that crosses GOAWAY is refused', () => {
    const pair = createPair({ delayMs: 10 })
    pair.relay.session.goAway('DRAINING', 30_000)
    const opener = pair.peer.open()
    opener.write(100)
    pair.run(100)
    assert.equal(opener.code, 'REFUSED')
    assert.equal(pair.relay.accepted.length, 0)
    assert.equal(pair.relay.error, undefined)
    pair.assertClean()
  })

  test('a relay may greet and go away in one turn', () => {
    const pair = createPair({ delayMs: 10, isGreeted: false })
    pair.relay.session.greet('HELLO_OK', OK_META)
    pair.relay.session.goAway('REPLACED', 0)
    pair.run(100)
    assert.equal(pair.peer.error, undefined)
    assert.equal(pair.peer.greetings, 1)
    assert.equal(pair.peer.goAways.length, 1)
  })
})
