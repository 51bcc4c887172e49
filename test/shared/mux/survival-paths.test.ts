import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TunnelError, wireFromCode } from '../../../shared/errors.ts'
import { FLAG } from '../../../shared/mux/frame.ts'
import { FrameReader } from '../../../shared/mux/frame-reader.ts'
import { SESSION_LIMITS } from '../../../shared/mux/session-limits.ts'
import { Stream } from '../../../shared/mux/stream.ts'
import type { CreditSource, StreamCarrier } from '../../../shared/mux/stream-handler.ts'
import { createWindowBudget, INITIAL_WINDOW } from '../../../shared/mux/window.ts'
import { createPair, createRelayed } from '../../support/session-pair.ts'
import { pattern, StreamProbe } from '../../support/stream-probe.ts'

const LOST = new TunnelError('SESSION_LOST')
const OK_META = Uint8Array.of(0xa0)
const ANSWER = { type: 'OPEN_OK', id: 3, maxOffset: 65_536, meta: OK_META } as const

/** A path that carries nothing and remembers what was to leave. */
class RecordedPath implements StreamCarrier {
  readonly frames: { readonly type: string; readonly id: number; readonly code?: number }[] = []
  readonly #reader = new FrameReader({ data() {}, control: (frame) => this.frames.push(frame) })

  control(bytes: Uint8Array): void {
    this.#reader.push(bytes)
  }
  creditDue(source: CreditSource): void {
    const bytes = source.takeCredit(0)
    if (bytes !== undefined) this.control(bytes)
  }
  ready(): void {}
  remove(): void {}
  forget(): void {}

  get types(): string[] {
    return this.frames.map(({ type }) => type)
  }
}

/** An opener that was answered, has read a whole window and consumed none of it, and then lost its path. */
function detachedOpener() {
  const path = new RecordedPath()
  const probe = new StreamProbe({ expects: 1, writes: 0, ledger: { unreleased: 0 } })
  probe.isEager = false
  const budget = createWindowBudget(1 << 30)
  const stream = new Stream({
    id: 1,
    isOpener: true,
    carrier: path,
    handler: probe,
    budget,
    sendLimit: 65_536,
    now: 0,
  })
  probe.stream = stream
  stream.onPathLost = () => {}
  stream.receiveControl({ ...ANSWER, id: 1 }, 0)
  for (let offset = 0; offset < INITIAL_WINDOW; offset += 16_384) {
    stream.receiveData(offset, pattern(1, offset, 16_384), 0, 0)
  }
  stream.lose(LOST)
  return { stream, probe }
}

describe('a stream that looks for a path', () => {
  test('says what it consumed in between when the far end has answered, not to a relay that still decides', () => {
    const { stream, probe } = detachedOpener()
    probe.consume(100_000)
    const path = new RecordedPath()
    stream.path.reattach(3, path)
    assert.equal(stream.path.grantedOffset, INITIAL_WINDOW)
    probe.consume(100_000)
    assert.deepEqual(path.types, [])
    stream.receiveControl(ANSWER, 0)
    assert.deepEqual(path.types, ['RESUME', 'CREDIT'])
    assert.deepEqual(path.frames[1], {
      type: 'CREDIT',
      id: 3,
      fin: false,
      consumed: 200_000,
      maxOffset: 200_000 + INITIAL_WINDOW,
    })
  })

  test('takes writes as far as 256 KiB, and goes on when it has found its path', () => {
    const { stream, probe } = detachedOpener()
    probe.consume(INITIAL_WINDOW)
    stream.receiveControl({ type: 'CREDIT', id: 1, maxOffset: 1 << 30, consumed: 0, fin: false }, 0)
    while (stream.room > 0) probe.write(16_384)
    assert.equal(stream.heldBytes, 262_144)
    stream.path.reattach(3, new RecordedPath())
    assert.equal(stream.isReady, false)
    stream.receiveControl(ANSWER, 0)
    assert.equal(stream.isReady, false)
    stream.receiveControl({ type: 'RESUME', id: 3, received: 0 }, 0)
    assert.equal(stream.isReady, true)
    stream.receiveControl({ type: 'CREDIT', id: 3, maxOffset: 1 << 30, consumed: 0, fin: false }, 0)
    assert.equal(probe.writables, 0)
    stream.next(16_384, 0)
    stream.sent()
    stream.receiveControl({ type: 'CREDIT', id: 3, maxOffset: 1 << 30, consumed: 16_384, fin: false }, 0)
    assert.equal(probe.writables, 1)
  })

  test('says again that it reads no more: the STOP may have been lost with the path before', () => {
    const { stream } = detachedOpener()
    stream.stop('CANCELLED')
    for (const id of [3, 5]) {
      const path = new RecordedPath()
      stream.path.reattach(id, path)
      stream.receiveControl({ ...ANSWER, id }, 0)
      assert.deepEqual(path.types.slice(0, 2), ['RESUME', 'STOP'])
      stream.lose(LOST)
    }
  })

  test('goes on after an answer that means "not now", and ends with any other', () => {
    for (const code of ['AGENT_OFFLINE', 'REFUSED', 'DRAINING', 'OVERLOADED', 'ENHANCE_CALM'] as const) {
      const { stream, probe } = detachedOpener()
      stream.path.reattach(3, new RecordedPath())
      stream.receiveControl({ type: 'RESET', id: 3, code: wireFromCode(code), consumed: 0, detail: '' }, 0)
      assert.deepEqual([stream.isDetached, probe.closedWith], [true, undefined], code)
    }
    for (const code of ['GONE', 'DENIED_BY_SITE', 'DENIED_BY_RELAY', 'CONNECTION_REFUSED', 'DNS'] as const) {
      const { stream, probe } = detachedOpener()
      stream.path.reattach(3, new RecordedPath())
      stream.receiveControl({ type: 'RESET', id: 3, code: wireFromCode(code), consumed: 0, detail: '' }, 0)
      assert.equal(probe.code, code)
    }
  })

  test('tells a far end that may have been found when it is given up', () => {
    const { stream, probe } = detachedOpener()
    const path = new RecordedPath()
    stream.path.reattach(3, path)
    stream.giveUp(LOST)
    assert.deepEqual(
      path.frames.map(({ type, code }) => [type, code]),
      [['RESET', 16]],
    )
    assert.equal(probe.code, 'SESSION_LOST')
  })

  test('leaves a path without an answer after 15 s, and whoever stands there learns that it may come back', () => {
    const flags: number[] = []
    const pair = createPair({
      opening: (end, frame) => {
        flags.push(frame.flags)
        end.admit(frame)
      },
    })
    const { stream, probe } = detachedOpener()
    pair.peer.session.reopen(stream, OK_META)
    pair.run(1)
    assert.deepEqual(flags, [FLAG.REATTACH | FLAG.RESUMABLE])
    const lost: string[] = []
    pair.relay.peer().live.onPathLost = ({ code }) => lost.push(code)
    pair.run(SESSION_LIMITS.openTimeoutMs - 2)
    assert.equal(stream.isDetached, false)
    pair.run(10)
    assert.deepEqual([stream.isDetached, probe.closedWith, lost], [true, undefined, ['SESSION_LOST']])
    assert.equal(pair.peer.session.streamCount, 0)
    assert.equal(pair.relay.session.streamCount, 0)
  })

  test('is not timed out by the session before, where it had the same number', () => {
    const unanswered = { opening: () => {} }
    const [before, after] = [createPair(unanswered), createPair(unanswered)]
    const opener = before.peer.open()
    opener.live.onPathLost = () => {}
    before.run(10_000)
    opener.live.lose(LOST)
    after.peer.session.reopen(opener.live, OK_META)
    assert.equal(opener.live.id, 1)
    before.run(10_000)
    after.run(10_000)
    assert.equal(opener.closedWith, undefined)
    after.run(5_010)
    assert.equal(opener.code, 'OPEN_TIMEOUT')
  })
})

describe('a path that is given up', () => {
  for (const isResumable of [true, false]) {
    test(`is forgotten by the relay; the other end of a ${isResumable ? 'resumable' : 'mortal'} stream learns of it`, () => {
      const relayed = createRelayed()
      const { connector, agent } = relayed
      const opener = new StreamProbe({ expects: 1, writes: 0, ledger: relayed.ledger })
      opener.stream = connector.session.open(Uint8Array.of(0), opener, isResumable)
      relayed.run(10)
      const lost: string[] = []
      agent.peer().live.onPathLost = () => lost.push('acceptor')
      opener.live.onPathLost = () => lost.push('opener')
      opener.live.leavePath(LOST)
      relayed.run(10)
      assert.deepEqual(lost, isResumable ? ['opener', 'acceptor'] : ['opener'])
      assert.equal(agent.peer().code, isResumable ? undefined : 'SESSION_LOST')
      for (const end of [connector, agent, relayed.toAgent, relayed.toConnector]) {
        assert.equal(end.session.streamCount, 0)
      }
    })
  }
})

describe('a stream that was refused after it had been put there', () => {
  test('is over, though it would wait for a path had it lost one', () => {
    const pair = createPair({
      opening: (end, frame) => {
        end.admit(frame).onPathLost = () => assert.fail('it had no path to lose')
        throw new TunnelError('OVERLOADED')
      },
    })
    const opener = pair.peer.open()
    pair.run(10)
    assert.equal(opener.code, 'OVERLOADED')
    assert.equal(pair.relay.peer().code, 'OVERLOADED')
    pair.assertClean()
  })
})
