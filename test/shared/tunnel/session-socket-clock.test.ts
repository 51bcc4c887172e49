import assert from 'node:assert/strict'
import { it } from 'node:test'
import { FRAME } from '../../../shared/mux/frame.ts'
import type { StreamEntry } from '../../../shared/mux/session-handler.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { relayEnd } from './relay-end.ts'

const SILENT: StreamEntry = {
  receiveData() {},
  receiveControl() {},
  lose() {},
  giveUp() {},
  reset() {},
  sweep() {},
}

/** A session whose own interval for PING never comes, and how many it has sent. */
function quietEnd() {
  const effects = new FakeEffects()
  let pings = 0
  const end = relayEnd(
    (bytes, done) => {
      // One message with one frame: two bytes of WebSocket, then the type.
      if (bytes[2] === FRAME.PING) pings++
      done()
    },
    { effects, pingIntervalMs: 3_600_000 },
  )
  return { ...end, effects, pings: () => pings }
}

it('a session that had nothing to do for a minute asks nobody because of its first stream', async () => {
  const { effects, session, link, pings } = quietEnd()
  await effects.elapse(60_000)
  session.place(1, SILENT)
  link.wake()
  await effects.elapse(2_000)
  assert.equal(pings(), 0)
})

it('after a sleep of the machine a session asks its peer once', async () => {
  const { effects, session, link, pings } = quietEnd()
  session.place(1, SILENT)
  link.wake()
  await effects.elapse(1_000)
  effects.jump(60_000)
  await effects.elapse(2_000)
  assert.equal(pings(), 1)
})
