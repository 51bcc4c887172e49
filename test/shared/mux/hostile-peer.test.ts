import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ErrorCode, TunnelError } from '../../../shared/errors.ts'
import type { ControlFrame } from '../../../shared/mux/frame.ts'
import type { SessionEnd } from '../../support/session-end.ts'
import { createPair } from '../../support/session-pair.ts'
import { encodeAny } from './frame-collector.ts'
import type { DataFrame } from './frame-vectors.ts'

const NOTHING = new Uint8Array(0)

/** What `from` sends against the rules, as one message. Its link books DATA as sent, else it would not bear the ACK. */
function inject(from: SessionEnd, ...frames: (ControlFrame | DataFrame)[]): void {
  for (const frame of frames) {
    if (frame.type === 'DATA') from.session.link.inFlight.sent(frame.bytes.length + 16, from.now)
  }
  from.out.send(Uint8Array.from(frames.flatMap((frame) => [...encodeAny(frame)])))
}

function data(id: number, offset: number, length: number, flags = 0): DataFrame {
  return { type: 'DATA', id, flags, offset, bytes: new Uint8Array(length) }
}

function openFrame(id: number, more: Partial<Extract<ControlFrame, { type: 'OPEN' }>> = {}): ControlFrame {
  return {
    type: 'OPEN',
    id,
    flags: 0,
    maxOffset: 65_536,
    priority: 0,
    hops: 0,
    meta: NOTHING,
    earlyData: NOTHING,
    ...more,
  }
}

const PING: ControlFrame = { type: 'PING', id: 0, opaque: new Uint8Array(8) }
const LINKS: ControlFrame = { type: 'LINKS', id: 0, wanted: 2 }
const NOTICE: ControlFrame = { type: 'NOTICE', id: 0, meta: Uint8Array.of(0xa0) }

describe('what costs a peer one stream', () => {
  const cases: [string, ErrorCode, (id: number) => (ControlFrame | DataFrame)[]][] = [
    ['bytes beyond the window', 'FLOW_CONTROL', (id) => [data(id, 262_140, 5)]],
    ['bytes far beyond the window', 'FLOW_CONTROL', (id) => [data(id, Number.MAX_SAFE_INTEGER - 5, 5)]],
    [
      'a CREDIT of bytes that were never sent',
      'FLOW_CONTROL',
      (id) => [{ type: 'CREDIT', id, maxOffset: 9, consumed: 1, fin: false }],
    ],
    [
      'a grant below what was consumed',
      'PROTOCOL',
      (id) => [{ type: 'CREDIT', id, maxOffset: 0, consumed: 1, fin: false }],
    ],
    ['a RESUME of what was never sent', 'PROTOCOL', (id) => [{ type: 'RESUME', id, received: 1 }]],
    ['a second OPEN_OK', 'PROTOCOL', (id) => [{ type: 'OPEN_OK', id, maxOffset: 5, meta: NOTHING }]],
    ['bytes behind FIN', 'PROTOCOL', (id) => [data(id, 10, 0, 1), data(id, 8, 3)]],
    ['another FIN', 'PROTOCOL', (id) => [data(id, 10, 0, 1), data(id, 8, 3, 1)]],
    ['FIN before bytes that came', 'PROTOCOL', (id) => [data(id, 10, 5), data(id, 0, 5, 1)]],
  ]
  for (const [name, code, frames] of cases) {
    test(`${name}: the stream is reset on both sides, another one goes on`, () => {
      const pair = createPair({ delayMs: 5 })
      const victim = pair.relay.open(0)
      const other = pair.relay.open(10)
      pair.run(20)
      inject(pair.peer, ...frames(victim.live.id))
      other.write(50_000)
      pair.run(100)
      if (name === 'a grant below what was consumed')
        assert.ok(['FLOW_CONTROL', 'PROTOCOL'].includes(victim.code ?? ''))
      else assert.equal(victim.code, code)
      assert.equal(pair.peer.peer(0).code, victim.code)
      assert.equal(pair.peer.peer(1).received, 50_000)
      assert.deepEqual([pair.peer.error, pair.relay.error], [undefined, undefined])
    })
  }

  test('more early data than the initial credit', () => {
    const pair = createPair({ opening: (end, frame) => void end.admit(frame) })
    const opener = pair.peer.open()
    pair.run(10)
    inject(pair.peer, data(opener.live.id, 65_530, 7))
    pair.run(10)
    assert.equal(pair.relay.peer().code, 'FLOW_CONTROL')
    assert.equal(pair.relay.error, undefined)
  })

  test('OPEN_OK from the side that opened', () => {
    const pair = createPair()
    const opener = pair.peer.open()
    pair.run(10)
    inject(pair.peer, { type: 'OPEN_OK', id: opener.live.id, maxOffset: 1, meta: NOTHING })
    pair.run(10)
    assert.equal(pair.relay.peer().code, 'PROTOCOL')
    assert.equal(pair.relay.error, undefined)
  })
})

describe('what costs a peer its session', () => {
  const cases: [string, ErrorCode, (ControlFrame | DataFrame)[]][] = [
    ['an ACK of bytes that were never sent', 'PROTOCOL', [{ type: 'ACK', id: 0, received: 1, holdUs: 0 }]],
    ['DATA of a stream that never was', 'PROTOCOL', [data(1, 0, 1)]],
    ['DATA of a stream that we might open later', 'PROTOCOL', [data(2, 0, 1)]],
    [
      'CREDIT of a stream that never was',
      'PROTOCOL',
      [{ type: 'CREDIT', id: 5, maxOffset: 1, consumed: 0, fin: false }],
    ],
    [
      'RESET of a stream that never was',
      'PROTOCOL',
      [{ type: 'RESET', id: 4, code: 0, consumed: 0, detail: '' }],
    ],
    ['OPEN with an id of our own', 'PROTOCOL', [openFrame(2)]],
    ['OPEN with an id that was used', 'PROTOCOL', [openFrame(5), openFrame(5)]],
    ['OPEN with an id that was passed over', 'PROTOCOL', [openFrame(5), openFrame(3)]],
    ['OPEN with an id beyond the last', 'PROTOCOL', [openFrame(0x8000_0001)]],
    ['a second greeting', 'PROTOCOL', [{ type: 'HELLO', id: 0, meta: new Uint8Array(1) }]],
    ['the greeting of the other side', 'PROTOCOL', [{ type: 'HELLO_OK', id: 0, meta: new Uint8Array(1) }]],
    ['a flood of PING', 'ENHANCE_CALM', Array.from({ length: 101 }, () => PING)],
    ['a flood of LINKS', 'ENHANCE_CALM', Array.from({ length: 101 }, () => LINKS)],
    ['a flood of NOTICE', 'ENHANCE_CALM', Array.from({ length: 101 }, () => NOTICE)],
    [
      'a flood of OPEN',
      'ENHANCE_CALM',
      Array.from({ length: 20_001 }, (_, index) => openFrame(1 + index * 2)),
    ],
    [
      'a flood of RESET',
      'ENHANCE_CALM',
      Array.from({ length: 10_002 }, (_, index) =>
        index === 0 ? openFrame(1) : { type: 'RESET', id: 1, code: 5, consumed: 0, detail: '' },
      ),
    ],
  ]
  for (const [name, code, frames] of cases) {
    test(`${name}: ${code}`, () => {
      const pair = createPair({ delayMs: 5 })
      inject(pair.peer, ...frames)
      pair.run(6)
      assert.equal(pair.relay.error?.code, code)
      pair.run(10)
      pair.assertClean()
    })
  }

  test('a message that ends within a frame', () => {
    const pair = createPair()
    pair.peer.out.send(encodeAny(PING).subarray(0, 12))
    pair.run(10)
    assert.equal(pair.relay.error?.code, 'PROTOCOL')
  })

  for (const frame of [
    openFrame(1),
    data(1, 0, 1),
    NOTICE,
    { type: 'CREDIT', id: 1, maxOffset: 1, consumed: 0, fin: false },
    { type: 'GOAWAY', id: 0, code: 0, lastId: 0, drainMs: 0, retryAfterMs: 0, meta: NOTHING },
    { type: 'HELLO_OK', id: 0, meta: new Uint8Array(1) },
  ] as const) {
    test(`${frame.type} before the greeting`, () => {
      const pair = createPair({ isGreeted: false })
      inject(pair.peer, frame)
      pair.run(10)
      assert.equal(pair.relay.error?.code, 'PROTOCOL')
    })
  }

  test('a second HELLO while the relay still thinks about the first', () => {
    const pair = createPair({ isGreeted: false })
    let greetings = 0
    pair.relay.session.greet = () => greetings++
    inject(pair.peer, { type: 'HELLO', id: 0, meta: new Uint8Array(1) })
    inject(pair.peer, { type: 'HELLO', id: 0, meta: new Uint8Array(1) })
    pair.run(10)
    assert.equal(greetings, 1)
    assert.equal(pair.relay.error?.code, 'PROTOCOL')
  })
})

describe('what a peer cannot do', () => {
  test('make us keep more than 1 MiB of control frames that it does not read', () => {
    const pair = createPair({ opening: (end, frame) => end.admit(frame).reset('REFUSED', 'x'.repeat(256)) })
    pair.relay.out.pause()
    for (let turn = 0; turn < 40 && pair.relay.error === undefined; turn++) {
      inject(pair.peer, ...Array.from({ length: 500 }, (_, index) => openFrame(1 + turn * 1_000 + index * 2)))
      pair.run(100)
    }
    assert.equal(pair.relay.error?.code, 'ENHANCE_CALM')
    assert.ok(pair.relay.accepted.length < 5_000, `${pair.relay.accepted.length} OPENs answered`)
  })

  test('have PONGs pile up', () => {
    const pair = createPair()
    pair.relay.out.pause()
    for (let second = 0; second < 200; second++) {
      inject(pair.peer, ...Array.from({ length: 10 }, () => PING))
      pair.run(1_000)
    }
    assert.ok(pair.relay.out.outstanding <= 65_536 + 32_000)
  })

  test('pass CREDIT off as FIN acknowledged before FIN was sent', () => {
    const pair = createPair()
    const opener = pair.relay.open()
    pair.run(10)
    opener.write(100)
    pair.run(10)
    inject(pair.peer, { type: 'CREDIT', id: opener.live.id, maxOffset: 300_000, consumed: 100, fin: true })
    pair.run(10)
    assert.equal(opener.closedWith, undefined)
    opener.write(100)
    opener.live.end()
    pair.peer.peer().live.end()
    pair.run(10)
    assert.equal(pair.peer.peer().received, 200)
    assert.deepEqual([opener.closedWith, pair.peer.peer().closedWith], [null, null])
  })

  test('be answered a RESUME for each early piece that is too many', () => {
    const pair = createPair()
    const opener = pair.peer.open()
    pair.run(10)
    const before = pair.relay.out.written
    inject(pair.peer, ...Array.from({ length: 3_000 }, (_, index) => data(opener.live.id, 1 + index * 2, 1)))
    pair.run(10)
    const answered = pair.relay.out.written - before
    assert.ok(answered < 200, `${answered} bytes in answer`)
    // The honest end of this stream never sent so much; what matters here is the answer.
    assert.equal(pair.peer.error, undefined)
  })

  test('open streams on a session that ended while their bytes were read', () => {
    const pair = createPair({ opening: (end, frame) => end.fail(refuse(end, frame)) })
    const bytes = [openFrame(1), openFrame(3), data(3, 0, 5)].flatMap((frame) => [...encodeAny(frame)])
    pair.relay.session.receive(Uint8Array.from(bytes), pair.effects.now())
    assert.equal(pair.relay.accepted.length, 1)
    pair.assertClean()
  })

  test('leave a stream behind when the owner refuses after it put one there', () => {
    const pair = createPair({
      opening: (end, frame) => {
        throw refuse(end, frame)
      },
    })
    const opener = pair.peer.open()
    pair.run(10)
    assert.equal(opener.code, 'DENIED_BY_SITE')
    assert.equal(pair.relay.peer().code, 'DENIED_BY_SITE')
    pair.assertClean()
  })
})

function refuse(end: SessionEnd, frame: Parameters<SessionEnd['admit']>[0]): TunnelError {
  end.admit(frame)
  return new TunnelError('DENIED_BY_SITE')
}
