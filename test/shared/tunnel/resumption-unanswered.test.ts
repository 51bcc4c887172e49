import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TunnelError } from '../../../shared/errors.ts'
import { GRACE_MS } from '../../../shared/tunnel/resumption.ts'
import { createResumption as create } from './resumption-world.ts'

describe('an opener whose OPEN was never answered', () => {
  test('names the agent that the relay said its OPEN went to, until one answers', () => {
    const world = create()
    world.answer = 'nothing'
    const probe = world.open()
    world.route(probe, 'agent-7/1')
    world.lose(probe)
    world.pair.run(200)
    world.route(probe, 'agent-7/2')
    world.lose(probe)
    world.answer = 'keep'
    world.pair.run(1_000)
    world.route(probe, 'agent-8/1')
    world.lose(probe)
    world.pair.run(1_000)
    assert.deepEqual(
      world.opens.map(({ meta }) => [meta.fresh, meta.agent]),
      [
        [undefined, undefined],
        [true, 'agent-7/1'],
        [true, 'agent-7/2'],
        [false, 'agent-7'],
      ],
    )
    assert.deepEqual(world.asked, [undefined, 'agent-7/1', 'agent-7/2', 'agent-7'])
  })

  test('names the relay process that alone was asked, until another was or one has answered', () => {
    const world = create()
    const [first, second] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)]
    world.answer = 'nothing'
    const told = () => world.opens.at(-1)?.meta.relay
    world.known = { relay: first }
    const probe = world.open()
    world.lose(probe)
    world.pair.run(3_000)
    assert.deepEqual(told(), new Uint8Array(first))
    world.known = { relay: second }
    world.lose(probe)
    world.pair.run(3_000)
    assert.deepEqual(told(), new Uint8Array(first))
    world.answer = 'keep'
    world.lose(probe)
    world.pair.run(3_000)
    assert.equal(told(), undefined, 'two were asked')
  })

  test('that opens at an agent of its own choice asks that one alone, and ends at once where it is gone for good', () => {
    const world = create()
    world.answer = 'nothing'
    world.known = { agent: 'agent-7/1' }
    const probe = world.open()
    world.down = new TunnelError('UNANSWERED')
    world.lose(probe)
    world.pair.run(1)
    assert.deepEqual(world.asked, [undefined, 'agent-7/1'])
    assert.equal(probe.code, 'UNANSWERED')
    assert.equal(world.resumption.waitingCount, 0)
  })

  test('says at the end of the grace that nobody knows what became of an OPEN without an answer', () => {
    const world = create()
    world.answer = 'nothing'
    const probe = world.open()
    world.down = new TunnelError('RELAY_UNREACHABLE')
    world.lose(probe)
    world.pair.run(GRACE_MS.default + 10)
    assert.equal(probe.code, 'UNANSWERED')
  })
})
