import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { SessionEnd } from '../../support/session-end.ts'
import { createPair } from '../../support/session-pair.ts'

const OK_META = Uint8Array.of(0xa0)
const PING_INTERVAL_MS = 20_000

const unanswered = {
  opening: (end: SessionEnd, frame: Parameters<SessionEnd['admit']>[0]) => {
    end.admit(frame)
  },
}

describe('liveness', () => {
  test('a quiet connection stays for hours, on PING and PONG alone', () => {
    const pair = createPair({ delayMs: 50 })
    pair.run(2 * 3_600_000)
    assert.deepEqual([pair.peer.error, pair.relay.error], [undefined, undefined])
    const perMinute = (pair.peer.out.written + pair.relay.out.written) / 120
    assert.ok(perMinute < 200, `${perMinute} bytes a minute`)
  })

  test('a silent peer is found within the interval and ten seconds, not before', () => {
    const pair = createPair({ delayMs: 50 })
    const opener = pair.peer.open()
    pair.run(200)
    const since = pair.effects.now()
    pair.relay.out.isCarrying = false
    pair.run(PING_INTERVAL_MS + 9_000)
    assert.equal(pair.peer.session.isClosed, false)
    pair.run(1_100)
    assert.equal(pair.peer.error?.code, 'SESSION_LOST')
    assert.ok(pair.effects.now() - since <= PING_INTERVAL_MS + 10_100)
    assert.equal(opener.code, 'SESSION_LOST')
  })

  test('any byte is life: a peer that sends data is never asked', () => {
    const pair = createPair({ delayMs: 5 })
    const opener = pair.peer.open()
    pair.run(20)
    const before = pair.peer.out.written
    for (let second = 0; second < 100; second++) {
      pair.relay.peer().write(1)
      pair.run(1_000)
    }
    assert.equal(opener.received, 100)
    // What went back is 100 ACKs of 20 bytes and no PING.
    assert.equal(pair.peer.out.written - before, 100 * 20)
  })

  test('the answer to a question tells how far away the peer is, until DATA does', () => {
    const pair = createPair({ delayMs: 50 })
    const { link } = pair.peer.session
    assert.equal(link.rttMs, Number.POSITIVE_INFINITY)
    link.measure(pair.effects.now())
    link.measure(pair.effects.now())
    pair.run(200)
    assert.ok(link.rttMs >= 100 && link.rttMs < 105, `${link.rttMs} ms`)
  })

  test('after the clock jumped a dead peer is found within three seconds', () => {
    const pair = createPair({ delayMs: 50 })
    pair.relay.out.isCarrying = false
    pair.effects.jump(600_000)
    pair.peer.session.link.probe(pair.effects.now())
    pair.run(2_900)
    assert.equal(pair.peer.session.isClosed, false)
    pair.run(200)
    assert.equal(pair.peer.error?.code, 'SESSION_LOST')
  })

  test('after the clock jumped a living peer answers, and the session goes on', () => {
    const pair = createPair({ delayMs: 50 })
    pair.effects.jump(600_000)
    pair.peer.session.link.probe(pair.effects.now())
    pair.relay.session.link.probe(pair.effects.now())
    pair.run(60_000)
    assert.deepEqual([pair.peer.error, pair.relay.error], [undefined, undefined])
  })

  test('the interval can be changed while it runs', () => {
    const pair = createPair({ delayMs: 5 })
    pair.peer.session.link.pingIntervalMs = 1_000
    // It is told by a frame, so something comes in after it.
    pair.relay.session.sendNotice(Uint8Array.of(0xa0))
    pair.run(100)
    pair.relay.out.isCarrying = false
    pair.run(24_900)
    assert.equal(pair.peer.error?.code, 'SESSION_LOST')
  })
})

describe('waiting has an end', () => {
  test('an unanswered OPEN times out after 15 s, and the far end learns of it', () => {
    const pair = createPair({ delayMs: 10, ...unanswered })
    const opener = pair.peer.open()
    pair.run(14_900)
    assert.equal(opener.closedWith, undefined)
    pair.run(200)
    assert.equal(opener.code, 'OPEN_TIMEOUT')
    assert.equal(pair.relay.peer().code, 'OPEN_TIMEOUT')
    pair.assertClean()
  })

  test('15 s are 15 s also on a session that was idle before', () => {
    const pair = createPair({ delayMs: 10, ...unanswered })
    pair.run(9_000)
    const opener = pair.peer.open()
    pair.run(14_900)
    assert.equal(opener.closedWith, undefined)
    pair.run(200)
    assert.equal(opener.code, 'OPEN_TIMEOUT')
  })

  test('each of many waits for its own time, whatever became of those before it', () => {
    const pair = createPair({ delayMs: 10, ...unanswered })
    const openers = Array.from({ length: 5 }, () => {
      const opener = pair.peer.open()
      pair.run(1_000)
      return opener
    })
    openers[0]?.live.reset('CANCELLED')
    pair.relay.peer(1).live.accept(OK_META, pair.effects.now())
    pair.run(12_500)
    assert.deepEqual(
      openers.map((opener) => opener.code),
      ['CANCELLED', undefined, 'OPEN_TIMEOUT', undefined, undefined],
    )
    pair.run(2_000)
    assert.deepEqual(
      openers.map((opener) => opener.code),
      ['CANCELLED', undefined, 'OPEN_TIMEOUT', 'OPEN_TIMEOUT', 'OPEN_TIMEOUT'],
    )
  })

  test('a half-closed stream on which nothing moves is over after ten minutes', () => {
    const pair = createPair({ delayMs: 10 })
    const opener = pair.peer.open()
    opener.live.end()
    pair.run(595_000)
    assert.equal(opener.closedWith, undefined)
    pair.run(20_000)
    assert.equal(opener.code, 'IDLE')
    assert.equal(pair.relay.peer().code, 'IDLE')
    pair.assertClean()
  })

  test('only idle time counts: a half-closed stream that moves stays', () => {
    const pair = createPair({ delayMs: 10 })
    const opener = pair.peer.open()
    opener.live.end()
    for (let minute = 0; minute < 60; minute++) {
      pair.run(60_000)
      pair.relay.peer().write(1)
    }
    assert.equal(opener.closedWith, undefined)
    assert.equal(opener.received, 59)
  })

  test('an open stream may be idle for as long as it likes', () => {
    const pair = createPair({ delayMs: 10 })
    const opener = pair.peer.open()
    pair.run(24 * 3_600_000)
    opener.write(10)
    pair.run(100)
    assert.equal(pair.relay.peer().received, 10)
  })

  test('a stream that ended both ways does not wait for ever for a reader that takes nothing', () => {
    const pair = createPair({ delayMs: 10 })
    const opener = pair.peer.open()
    pair.run(50)
    pair.relay.peer().isEager = false
    opener.write(1_000)
    opener.live.end()
    pair.relay.peer().live.end()
    pair.run(620_000)
    assert.equal(opener.code, 'IDLE')
    pair.assertClean()
  })
})

describe('acknowledging', () => {
  test('every byte of DATA is acknowledged within 20 ms, without any consumer', () => {
    const pair = createPair({ delayMs: 5 })
    const opener = pair.peer.open()
    pair.run(20)
    pair.relay.peer().isEager = false
    opener.write(100)
    pair.run(6)
    assert.equal(pair.peer.session.link.inFlight.bytes, 116)
    pair.run(25)
    assert.equal(pair.peer.session.link.inFlight.bytes, 0)
  })

  test('64 KiB are acknowledged at once', () => {
    const pair = createPair({ delayMs: 5 })
    const opener = pair.peer.open()
    pair.run(20)
    opener.write(200_000)
    pair.run(11)
    assert.ok(pair.peer.session.link.inFlight.bytes < 65_536, `${pair.peer.session.link.inFlight.bytes} left`)
  })

  test('ACK_NOW is answered at once', () => {
    const pair = createPair({ delayMs: 5 })
    const opener = pair.peer.open()
    pair.run(50)
    const before = pair.relay.out.written
    pair.peer.out.send(Uint8Array.of(0, 8, 0, 9, 0, 0, 0, opener.live.id, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    pair.run(6)
    assert.equal(pair.relay.out.written - before, 20)
  })

  test('an ACK that cannot leave, because the socket takes nothing, does not keep the timer busy', () => {
    const pair = createPair({ delayMs: 5 })
    const opener = pair.peer.open()
    pair.run(50)
    pair.relay.out.pause()
    pair.relay.peer().write(200_000)
    pair.run(10)
    opener.write(100)
    pair.run(100)
    assert.ok(pair.relay.session.deadline > pair.effects.now() + 100)
    pair.relay.out.resume()
    pair.run(100)
    assert.equal(pair.peer.session.link.inFlight.bytes, 0)
  })
})
