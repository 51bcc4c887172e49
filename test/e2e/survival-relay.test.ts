import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { realEffects } from '../../shared/effects.ts'
import { type Running, sallyport, startSallyport } from '../support/command-line.ts'
import { eventually, within } from '../support/deadline.ts'
import { startKit } from '../support/relay-kit.ts'
import { dial } from '../support/tcp-kit.ts'
import { transfer, transferTarget } from './survival-kit.ts'

const MIB = 1024 * 1024

/** How long a pause of the relay is, in ms. */
const DOWN_MS = 300

describe('a relay that is stopped and started again', () => {
  it('changes nothing for fifty streams: long and short, one way and both, idle, and just being opened', async () => {
    await using kit = await startKit()
    await using target = await transferTarget()
    await kit.startAgent({ rules: { bulk: target.port } })
    let ups = 0
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/bulk'), { onUp: () => ups++ })
    const open = () => connector.connect('berlin/bulk')
    const idle = Array.from({ length: 10 }, open)
    await within(Promise.all(idle.map((one) => once(one, 'connect'))), 'ten streams')
    const moving = Array.from({ length: 30 }, (_, index) => {
      const size = (1 + (index % 5)) * MIB
      return transfer(open(), index % 3 === 0 ? 100 : size, index % 3 === 1 ? 0 : size)
    })
    for (let round = 0; round < 2; round++) {
      await eventually(() => ups === round + 1 && target.accepted >= 20, 'streams move')
      // These five have their OPEN on its way when the relay goes.
      moving.push(...Array.from({ length: 5 }, () => transfer(open(), 100_000, 100_000)))
      await kit.stopRelay()
      await kit.startAgain()
      await realEffects.sleep(DOWN_MS, AbortSignal.timeout(DOWN_MS * 2))
    }
    await Promise.all([...moving, ...idle.map((one) => transfer(one, 50_000, 70_000))])
    assert.equal(target.accepted, 50)
    await eventually(() => connector.streamCount === 0, 'no stream is left')
  })
})

/** What a command printed. */
async function run(...args: string[]): Promise<Readonly<Record<string, unknown>>> {
  const { status, out, err } = await sallyport([...args, '--json'])
  assert.equal(status, 0, err)
  return JSON.parse(out)
}

const portOf = (address: unknown) => Number(String(address).split(':').at(-1))

describe('a relay that is killed, with all of it in processes of their own', () => {
  it('twice with SIGKILL, changes nothing for streams between agent and connector', async () => {
    const root = await mkdtemp(join(tmpdir(), 'sallyport-kill-'))
    const [relayData, agentData] = ['relay', 'agent'].map((name) => ['--data', join(root, name)])
    const processes: Running[] = []
    const start = async (...args: string[]) => {
      const process = startSallyport([...args, '--json'])
      processes.push(process)
      return { process, first: await process.line() }
    }
    const relayUp = (listen: string) => start('relay', 'up', ...(relayData ?? []), '--listen', listen)
    await using target = await transferTarget()
    try {
      let relay = await relayUp('127.0.0.1:0')
      await relay.process.line()
      const { joinString } = await run('relay', 'join-token', 'berlin', ...(relayData ?? []))
      await writeFile(join(root, 'join'), String(joinString), { mode: 0o600 })
      await run('agent', 'join', '--join-file', join(root, 'join'), ...(agentData ?? []))
      const rule = ['agent', 'allow', `bulk=127.0.0.1:${target.port}`, '--allow-loopback', '--probe', 'none']
      await run(...rule, ...(agentData ?? []))
      const credentials = join(root, 'dev.json')
      await run(
        'relay',
        'connector',
        'add',
        'dev',
        '--resource',
        'berlin/bulk',
        '--out',
        credentials,
        ...(relayData ?? []),
      )
      await start('agent', 'run', ...(agentData ?? []))
      const forward = await start(
        'connect',
        'berlin/bulk',
        '--credentials',
        credentials,
        '--listen',
        '127.0.0.1:0',
      )
      const clients = await Promise.all(
        Array.from({ length: 8 }, () => dial(portOf(forward.first.listening))),
      )
      const transfers = clients.map(({ socket }) => transfer(socket, 6 * MIB, 6 * MIB))
      for (let kill = 0; kill < 2; kill++) {
        const moved = () => Math.min(...clients.map(({ socket }) => socket.bytesRead))
        await eventually(() => moved() > kill * 2 * MIB + 100_000, 'streams move')
        process.kill(relay.process.pid, 'SIGKILL')
        await relay.process.stop()
        relay = await relayUp(String(relay.first.address))
      }
      await Promise.all(transfers)
      assert.equal(target.accepted, 8)
    } finally {
      await Promise.all(processes.map((one) => one.stop()))
      await rm(root, { recursive: true, force: true })
    }
  })
})
