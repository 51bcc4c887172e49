import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually, within } from '../support/deadline.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { runPart, tryPart } from './part.ts'
import { startWorld, type World, type WorldAgent } from './world.ts'

/**
 * F23: node test/run.ts test/faults/fsync-fails.ts (Linux, root, strace)
 * fsync and fdatasync answer EIO: what was not on the disk is not said to be done.
 */

const INJECT = ['-f', '-qq', '-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO']

/** Lets every fsync of a process fail until it is disposed of. */
async function failFsync(pid: number): Promise<AsyncDisposable> {
  const child = spawn('strace', [...INJECT, '-p', String(pid)], { stdio: 'ignore' })
  const isTraced = async () => !/^TracerPid:\s+0$/m.test(await readFile(`/proc/${pid}/status`, 'utf8'))
  await eventually(isTraced, 'strace')
  return {
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill('SIGINT')
      await within(ended, 'the end of strace')
    },
  }
}

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
      await using _failing = await failFsync(world.relay.pid)
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
    const refused = await tryPart(allow, { prefix: ['strace', '-o', '/dev/null', ...INJECT] })
    process.stdout.write(`    ${JSON.stringify(refused.out)}\n`)
    assert.notEqual(refused.status, 0)
    assert.deepEqual(await readFile(rules), before)
    await runPart(allow)
  })
})
