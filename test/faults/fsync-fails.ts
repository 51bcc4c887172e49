import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { fsyncFlags, injectFsync } from './inject-fsync.ts'
import { runPart, tryPart } from './part.ts'
import { startWorld, type World, type WorldAgent } from './world.ts'

/**
 * F23: node test/run.ts test/faults/fsync-fails.ts (Linux, root, strace)
 * fsync and fdatasync answer EIO: what was not on the disk is not said to be done.
 */

const FAILS = 'error=EIO'

describe('F23: fsync that fails', () => {
  let world: World
  let agent: WorldAgent
  let target: TcpTarget

  before(async () => {
    target = await echoTarget()
    world = await startWorld()
    agent = await world.startAgent({ targets: { echo: target.port } })
  })

  after(async () => {
    await world[Symbol.asyncDispose]()
    await target.close()
  })

  it('F23: at the relay: nothing is acknowledged, its streams go on, and it works when the disk does', async () => {
    const client = await dial(await world.publish('berlin/echo'))
    client.socket.write('x')
    await client.has(1)
    const add = ['relay', 'join-token', 'munich', '--data', world.relayData]
    {
      await using _failing = await injectFsync(world.relay.pid, FAILS)
      const refused = await tryPart(add)
      process.stdout.write(`    ${JSON.stringify(refused.out)}\n`)
      assert.notEqual(refused.status, 0)
      assert.match(JSON.stringify(refused.out), /STORE|I\/O/)
      client.socket.write('y')
      await client.has(2)
    }
    assert.equal(world.relay.child.exitCode, null)
    assert.equal((await tryPart(add)).status, 0)
    client.socket.destroy()
  })

  it('F23: at the agent: a rule is not said to be there, and the file is as it was', async () => {
    const rules = join(agent.data, 'rules.toml')
    const before = await readFile(rules)
    const allow = [
      'agent',
      'allow',
      'more=127.0.0.1:1',
      '--allow-loopback',
      '--no-probe',
      '--data',
      agent.data,
    ]
    const refused = await tryPart(allow, { prefix: ['strace', '-o', '/dev/null', ...fsyncFlags(FAILS)] })
    process.stdout.write(`    ${JSON.stringify(refused.out)}\n`)
    assert.notEqual(refused.status, 0)
    assert.deepEqual(await readFile(rules), before)
    await runPart(allow)
  })
})
