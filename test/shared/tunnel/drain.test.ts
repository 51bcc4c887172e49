import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { drain } from '../../../shared/tunnel/client-tunnel.ts'
import { createPair } from '../../support/session-pair.ts'

/** A relay and an agent that was told to go after so many streams were opened, at 20 ms each way. */
function draining(streams: number) {
  const pair = createPair({ delayMs: 20 })
  const probes = Array.from({ length: streams }, () => pair.relay.open())
  pair.run(100)
  const closed: string[] = []
  drain(pair.peer.session, { close: (error) => closed.push(error.code) }, pair.effects, 5_000)
  return { ...pair, probes, closed }
}

describe('a session whose client leaves', () => {
  test('takes an OPEN that crossed its word', () => {
    const { relay, run, closed } = draining(0)
    run(10)
    const crossing = relay.open()
    run(100)
    assert.equal(crossing.meta.length, 1)
    assert.equal(relay.session.isOpen, false, 'the relay has read that it must open no more')
    run(1_000)
    assert.deepEqual(closed, [], 'it has a stream')
    crossing.live.reset('CANCELLED')
    run(1_000)
    assert.deepEqual([...new Set(closed)], ['DRAINING'])
  })

  test('ends at its first look where it has no stream, and when its time is over where it has', () => {
    const idle = draining(0)
    idle.run(249)
    assert.deepEqual(idle.closed, [])
    idle.run(2)
    assert.deepEqual(idle.closed, ['DRAINING'])
    const busy = draining(1)
    busy.run(4_900)
    assert.deepEqual(busy.closed, [])
    busy.run(400)
    assert.deepEqual(busy.closed, ['DRAINING'])
    assert.equal(busy.probes[0]?.closedWith, undefined)
  })
})
