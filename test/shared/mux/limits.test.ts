import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SESSION_LIMITS } from '../../../shared/mux/session-limits.ts'
import type { SessionEnd } from '../../support/session-end.ts'
import { createPair } from '../../support/session-pair.ts'

const unanswered = {
  opening: (end: SessionEnd, frame: Parameters<SessionEnd['admit']>[0]) => {
    end.admit(frame)
  },
}

/** F29: the wrap of stream ids; 8 GiB in one stream are in test/soak/bulk-memory.ts. */
describe('limits of a session', () => {
  test('256 streams may wait for an answer; an answer makes room for one more', () => {
    const pair = createPair({ ...unanswered })
    const openers = Array.from({ length: 256 }, () => pair.peer.open())
    assert.throws(() => pair.peer.open(), { code: 'OVERLOADED' })
    pair.run(10)
    pair.relay.peer(100).live.accept(Uint8Array.of(0xa0), pair.effects.now())
    openers[200]?.live.reset('CANCELLED')
    pair.run(10)
    pair.peer.open()
    pair.peer.open()
    assert.throws(() => pair.peer.open(), { code: 'OVERLOADED' })
  })

  test('4,096 streams may live; one that ends makes room for one more', () => {
    const pair = createPair()
    const openers = []
    while (openers.length < SESSION_LIMITS.streams) {
      for (let count = 0; count < 256; count++) openers.push(pair.peer.open())
      pair.run(10)
    }
    assert.equal(pair.relay.session.streamCount, 4_096)
    assert.throws(() => pair.peer.open(), { code: 'OVERLOADED' })
    openers[77]?.live.reset('CANCELLED')
    pair.peer.open()
    pair.run(10)
    for (const probe of [...openers, ...pair.relay.accepted]) {
      if (probe.closedWith === undefined) probe.live.reset('CANCELLED')
    }
    pair.run(1_000)
    assert.deepEqual([pair.peer.error, pair.relay.error], [undefined, undefined])
  })

  test('the streams of both sides count together, and what is too much is refused', () => {
    const pair = createPair()
    while (pair.relay.session.streamCount < SESSION_LIMITS.streams - 100) {
      for (let count = 0; count < 249; count++) pair.peer.open()
      pair.run(10)
      if (pair.relay.session.streamCount > SESSION_LIMITS.streams - 400) break
    }
    const room = SESSION_LIMITS.streams - pair.relay.session.streamCount
    // Both sides open at once, so neither can know of the other's.
    const ours = Array.from({ length: Math.min(250, room) }, () => pair.peer.open())
    const theirs = Array.from({ length: Math.min(250, room) }, () => pair.relay.open())
    pair.run(100)
    const refused = [...ours, ...theirs].filter((probe) => probe.code === 'REFUSED')
    assert.ok(refused.length > 0)
    assert.ok(pair.relay.session.streamCount <= SESSION_LIMITS.streams)
    assert.deepEqual([pair.peer.error, pair.relay.error], [undefined, undefined])
  })

  test('ids run out: the session asks for a new one long before, and opens none in the end', () => {
    const nearRoll = createPair({ firstId: SESSION_LIMITS.rollAtId - 2 })
    assert.equal(nearRoll.peer.session.wantsRoll, false)
    nearRoll.peer.open()
    assert.equal(nearRoll.peer.session.wantsRoll, true)
    const atEnd = createPair({ firstId: SESSION_LIMITS.lastId })
    const last = atEnd.peer.open()
    atEnd.run(10)
    assert.equal(last.meta.length, 1)
    assert.throws(() => atEnd.peer.open(), { code: 'DRAINING' })
  })

  test('nothing can be opened before the greeting', () => {
    const pair = createPair({ isGreeted: false })
    assert.throws(() => pair.peer.open(), { code: 'DRAINING' })
    assert.throws(() => pair.relay.open(), { code: 'DRAINING' })
    assert.equal(pair.peer.session.isOpen, false)
  })
})
