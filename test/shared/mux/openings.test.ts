import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { encodeControl } from '../../../shared/mux/encode.ts'
import { type ControlFrame, FRAME } from '../../../shared/mux/frame.ts'
import { Session } from '../../../shared/mux/session.ts'
import { SESSION_LIMITS } from '../../../shared/mux/session-limits.ts'
import { createWindowBudget } from '../../../shared/mux/window.ts'

const META = Uint8Array.of(0xa0)

/** A relay's session with an agent, the frames it sends, and the agent's word. */
function relaySession() {
  const sent: number[] = []
  const session = new Session({
    role: 'relay',
    budget: createWindowBudget(0),
    pingIntervalMs: 20_000,
    now: 0,
    handler: { greeted() {}, opening() {}, goAway() {}, wake() {} },
  })
  session.greet('HELLO_OK', META)
  const transmit = (now: number) =>
    session.transmit(1_000_000, now, { control: (bytes) => sent.push(bytes[0] ?? 0), data() {} })
  const say = (frame: ControlFrame, now: number) => session.receive(encodeControl(frame), now)
  transmit(0)
  sent.length = 0
  return { session, sent, transmit, say }
}

/** A handler that notes how its stream ended. */
function noting() {
  const codes: (string | undefined)[] = []
  const handler = {
    opened() {},
    data() {},
    ended() {},
    writable() {},
    stopped() {},
    closed: (error: { code: string } | null) => codes.push(error?.code),
  }
  return { codes, handler }
}

describe('a stream that was opened', () => {
  it('is given up where no answer comes in time, each at its own time', () => {
    const { session, sent, transmit } = relaySession()
    const [first, second] = [noting(), noting()]
    session.open(META, first.handler)
    transmit(0)
    session.open(META, second.handler)
    transmit(1_000)
    session.tick(SESSION_LIMITS.openTimeoutMs)
    assert.deepEqual([first.codes, second.codes], [['OPEN_TIMEOUT'], []])
    session.tick(SESSION_LIMITS.openTimeoutMs + 999)
    assert.deepEqual(second.codes, [])
    session.tick(SESSION_LIMITS.openTimeoutMs + 1_000)
    assert.deepEqual(second.codes, ['OPEN_TIMEOUT'])
    transmit(SESSION_LIMITS.openTimeoutMs + 1_000)
    assert.equal(sent.filter((type) => type === FRAME.RESET).length, 2)
  })

  it('is not given up once it was answered, and makes room for another', () => {
    const { session, transmit, say } = relaySession()
    const streams = Array.from({ length: SESSION_LIMITS.unansweredOpens }, () =>
      session.open(META, noting().handler),
    )
    transmit(0)
    assert.throws(() => session.open(META, noting().handler), { code: 'OVERLOADED' })
    for (const { id } of streams) say({ type: 'OPEN_OK', id, maxOffset: 1_000, meta: META }, 1)
    session.tick(SESSION_LIMITS.openTimeoutMs + 1)
    assert.ok(streams.every(({ isClosed }) => !isClosed))
    session.open(META, noting().handler)
  })

  it('is not kept by its session once it is over', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const { session, transmit, say } = relaySession()
    const kept = Array.from({ length: 3 }, () => {
      const stream = session.open(META, noting().handler)
      transmit(0)
      const { id } = stream
      say({ type: 'OPEN_OK', id, maxOffset: 1_000, meta: META }, 1)
      say({ type: 'RESET', id, code: 0, consumed: 0, detail: '' }, 2)
      return new WeakRef(stream)
    })
    await setImmediate()
    collect()
    assert.deepEqual(
      kept.map((one) => one.deref()),
      [undefined, undefined, undefined],
    )
  })
})
