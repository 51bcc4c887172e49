import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { startWorld, type World } from './world.ts'

/**
 * F07: node test/run.ts test/faults/agent-stopped.ts (80 s)
 * An agent that is stopped by SIGSTOP for a minute, as a machine that sleeps: its TCP lives on in the kernel, so only silence
 * tells.
 */

const STOPPED_MS = 60_000
const DEAD_MS = 45_000
/** How soon a refusal comes where no agent is there, in ms. */
const AT_ONCE_MS = 500

describe('F07: an agent that is stopped for a minute', () => {
  let world: World
  let target: TcpTarget

  before(async () => {
    target = await echoTarget()
    world = await startWorld()
  })

  after(async () => {
    await world[Symbol.asyncDispose]()
    await target.close()
  })

  it('F07: is dead for the relay within 45 s, refused at once then, and comes back with sessions of its own only', async () => {
    const agent = await world.startAgent({ targets: { echo: target.port } })
    const port = await world.publish('berlin/echo')
    const client = await dial(port)
    client.socket.write('x')
    await client.has(1)
    const before = await world.sessionsOf('berlin')
    assert.ok(before.length > 0)

    process.kill(agent.part.pid, 'SIGSTOP')
    const began = performance.now()
    await eventually(
      async () => (await world.sessionsOf('berlin')).length === 0,
      'the relay gives it up',
      DEAD_MS,
    )
    process.stdout.write(`    given up after ${Math.round(performance.now() - began)} ms\n`)

    const asked = performance.now()
    assert.equal((await (await dial(port)).closed).end, 'RST')
    assert.ok(performance.now() - asked < AT_ONCE_MS)

    await new Promise((resolve) => setTimeout(resolve, began + STOPPED_MS - performance.now()))
    process.kill(agent.part.pid, 'SIGCONT')
    await eventually(async () => (await world.sessionsOf('berlin')).length > 0, 'it is back', 30_000)
    for (const name of await world.sessionsOf('berlin')) assert.equal(before.includes(name), false)

    const fresh = await dial(port)
    fresh.socket.end('works')
    assert.equal(String((await fresh.closed).bytes), 'works')
    // Its own stream waited for 30 s at most, and may be over; then it was reset and not ended.
    client.socket.end('y')
    const { bytes, end } = await client.closed
    assert.ok(`${end} ${bytes}` === 'FIN xy' || end === 'RST', `${end} ${bytes}`)
  })
})
