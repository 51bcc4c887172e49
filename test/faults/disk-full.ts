import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, writeSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { runPart, tryPart } from './part.ts'
import { startWorld, type World, type WorldAgent } from './world.ts'

/**
 * F20: node test/run.ts test/faults/disk-full.ts (Linux, root)
 * The disk of the agent's and of the relay's data directory is full: file systems in memory of a few MiB.
 */

const SIZE = '12m'
const FILLER = 'filler'

/** Takes all the room there is. */
function fill(folder: string): void {
  const file = openSync(join(folder, FILLER), 'w')
  const block = Buffer.alloc(4_096)
  try {
    for (;;) writeSync(file, block)
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
  } finally {
    closeSync(file)
  }
}

describe('F20: a disk that is full', () => {
  let root: string
  let world: World
  let agent: WorldAgent
  let target: TcpTarget
  const disks = () => [join(root, 'relay'), join(root, 'agent')] as const

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'sallyport-disks-'))
    for (const disk of disks()) {
      await mkdir(disk)
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=0700`, 'tmpfs', disk])
    }
    const [relayDisk, agentDisk] = disks()
    target = await echoTarget()
    world = await startWorld({ relayData: join(relayDisk, 'data') })
    agent = await world.startAgent({ targets: { echo: target.port }, data: join(agentDisk, 'data') })
  })

  after(async () => {
    await world[Symbol.asyncDispose]()
    await target.close()
    for (const disk of disks()) execFileSync('umount', [disk])
    await rm(root, { recursive: true, force: true })
  })

  it('F20: the agent: streams go on, a rule is refused with the reason and the file is as it was, and no restart is needed', async () => {
    const [, disk] = disks()
    const client = await dial(await world.publish('berlin/echo'))
    client.socket.write('x')
    await client.has(1)
    const rules = join(agent.data, 'rules.toml')
    const before = await readFile(rules)
    fill(disk)
    const allow = [
      'agent',
      'allow',
      'more=127.0.0.1:1',
      '--allow-loopback',
      '--no-probe',
      '--data',
      agent.data,
    ]
    const refused = await tryPart(allow)
    process.stdout.write(`    ${JSON.stringify(refused.out)}\n`)
    assert.notEqual(refused.status, 0)
    assert.match(JSON.stringify(refused), /ENOSPC|no space/i)
    assert.deepEqual(await readFile(rules), before)
    client.socket.write('y')
    await client.has(2)
    await rm(join(disk, FILLER))
    assert.equal((await tryPart(allow)).status, 0)
    client.socket.destroy()
  })

  it('F20: the relay: streams go on, a change is refused with the reason, nothing of it is there, and no restart is needed', async () => {
    const [disk] = disks()
    const port = await world.publish('berlin/echo').catch(async () => {
      const { publications } = (await world.atRelay('relay', 'list')) as {
        publications: { listening: string }[]
      }
      return Number(publications[0]?.listening.split(':').at(-1))
    })
    const client = await dial(port)
    client.socket.write('x')
    await client.has(1)
    fill(disk)
    const add = ['relay', 'join-token', 'munich', '--data', world.relayData]
    let refusal = await tryPart(add)
    // The write-ahead log may have a little room of its own left.
    for (let more = 0; refusal.status === 0 && more < 2_000; more++) refusal = await tryPart(add)
    process.stdout.write(`    ${JSON.stringify(refusal.out)}\n`)
    assert.notEqual(refusal.status, 0)
    assert.match(JSON.stringify(refusal), /ENOSPC|full|no space/i)
    client.socket.write('y')
    await client.has(2)
    const fresh = await dial(port)
    fresh.socket.end('new ones too')
    assert.equal(String((await fresh.closed).bytes), 'new ones too')
    await rm(join(disk, FILLER))
    await runPart(add)
    client.socket.destroy()
  })
})
