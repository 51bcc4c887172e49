import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { injectFsync } from './inject-fsync.ts'
import { startWorld, type World, type WorldAgent } from './world.ts'

/**
 * F20, a disk that is slow instead of full: node test/run.ts test/faults/slow-disk.ts (Linux, root, strace; a minute)
 * Each fsync of the relay, or of the agent, takes three seconds. Streams are opened and echo all along, and what is changed is changed in the end.
 */

const FSYNC_MS = 3_000
const SLOW = `delay_enter=${FSYNC_MS * 1_000}`
const SECONDS = 15
const WORST_MS = 500
const EVERY_MS = 20

/** Opens a stream, echoes a byte and ends it, one after the other: how long the slowest took, and how many there were. */
async function slowest(port: number): Promise<{ ms: number; count: number }> {
  let [ms, count] = [0, 0]
  for (const end = performance.now() + SECONDS * 1_000; performance.now() < end; count++) {
    const began = performance.now()
    const client = await dial(port)
    client.socket.write('x')
    await client.has(1)
    client.socket.destroy()
    ms = Math.max(ms, performance.now() - began)
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
  }
  return { ms, count }
}

/** How long a stream took at most on each road, in ms. */
async function slowestOf(
  ports: readonly { readonly road: string; readonly port: number }[],
): Promise<number> {
  const each = await Promise.all(ports.map(async ({ road, port }) => ({ road, ...(await slowest(port)) })))
  for (const { road, count, ms } of each) {
    process.stdout.write(`    slowest of ${count} streams of a ${road}: ${ms.toFixed(0)} ms\n`)
  }
  return Math.max(...each.map(({ ms }) => ms))
}

describe('F20: a disk that is slow', () => {
  let world: World
  let agent: WorldAgent
  let target: TcpTarget
  let ports: { road: string; port: number }[]

  before(async () => {
    target = await echoTarget()
    world = await startWorld()
    agent = await world.startAgent({ targets: { echo: target.port } })
    const credentials = await world.credentials('dev', 'berlin/echo')
    ports = [
      { road: 'listener', port: await world.publish('berlin/echo') },
      { road: 'connector', port: (await world.connect('berlin/echo', credentials)).port },
    ]
  })

  after(async () => {
    await world[Symbol.asyncDispose]()
    await target.close()
  })

  it('F20: at the relay: no new stream waits for it, and a change is acknowledged once it is there', async () => {
    await using _slow = await injectFsync(world.relay.pid, SLOW)
    const began = performance.now()
    const adding = world.atRelay('relay', 'env', 'add', 'staging').then(() => performance.now() - began)
    const ms = await slowestOf(ports)
    const changedMs = await adding
    process.stdout.write(`    a change took ${changedMs.toFixed(0)} ms\n`)
    assert.ok(changedMs >= FSYNC_MS, 'acknowledged before it was on the disk')
    assert.ok(ms <= WORST_MS)
  })

  it('F20: at the agent: no new stream waits for it', async () => {
    await using _slow = await injectFsync(agent.part.pid, SLOW)
    assert.ok((await slowestOf(ports)) <= WORST_MS)
  })
})
