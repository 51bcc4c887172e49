import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { startKit } from '../support/relay-kit.ts'
import { footprint } from './part.ts'
import { startWorld } from './world.ts'

/**
 * F16: node test/faults/many-agents.ts [AGENTS] (10,000 by default; Linux, `ulimit -n 20000`; some minutes, most of them for
 * the certificates)
 * Many agents, each from an address of its own; the relay is killed and started again. How soon all are back, how many
 * handshakes a second there were, how late the relay's event loop was and how large the relay is.
 */

const AGENTS = Number(process.argv[2] ?? 10_000)
const PER_PROCESS = 5_000
const JOINING = 8
const FIRST_MS = 300_000
const BACK_MS = 60_000
const DELAY_P99_MS = 200
const RSS_MIB = 1_536

/** Certificates for all of them, made by a relay that lets them in as fast as they come. */
async function enrol(folder: string) {
  const kit = await startKit({
    limits: { enrollmentsPerMinute: 1_000_000, pendingPerAddress: 1_000, tunnelsPerSecond: 10_000 },
  })
  let next = 1
  const worker = async () => {
    while (next <= AGENTS) {
      const number = next++
      await rename(await kit.joinedDirectory(`site-${number}`), join(folder, `a${number}`))
    }
  }
  await Promise.all(Array.from({ length: JOINING }, worker))
  const { port } = kit
  await kit.stopRelay()
  return { kit, port }
}

function startClients(folder: string, port: number) {
  const counts: number[] = []
  const children: ChildProcess[] = []
  for (let from = 1; from <= AGENTS; from += PER_PROCESS) {
    const index = counts.push(0) - 1
    const range = [from, Math.min(AGENTS, from + PER_PROCESS - 1)].map(String)
    const args = [join(import.meta.dirname, 'simulated-agents.ts'), folder, ...range, String(port)]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    createInterface({ input: child.stdout }).on('line', (line) => {
      counts[index] = Number(line)
    })
    children.push(child)
  }
  return {
    up: () => counts.reduce((sum, count) => sum + count, 0),
    stop: () => children.forEach((one) => void one.kill()),
  }
}

/** Lines of the file in which the relay's event loop notes its delays. */
function delaysOf(file: string): number[] {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : []
}

describe('F16: many agents and a relay that is killed', () => {
  it(`F16: ${AGENTS} agents are back within a minute of its start`, async () => {
    const root = join('/tmp', `sallyport-agents-${process.pid}`)
    await mkdir(root, { mode: 0o700 })
    const began = performance.now()
    const { kit, port } = await enrol(root)
    process.stdout.write(
      `    ${AGENTS} certificates in ${Math.round((performance.now() - began) / 1_000)} s\n`,
    )
    const delayFile = join(root, 'delay')
    await using world = await startWorld({
      listen: `127.0.0.1:${port}`,
      relayData: kit.directory,
      relay: {
        env: {
          NODE_OPTIONS: `--import ${join(import.meta.dirname, 'loop-delay.ts')}`,
          LOOP_DELAY_FILE: delayFile,
        },
      },
    })
    const clients = startClients(root, port)
    try {
      await eventually(() => clients.up() === AGENTS, 'all are there', FIRST_MS)
      await world.relay.end('SIGKILL')
      await eventually(() => clients.up() === 0, 'all know', BACK_MS)
      await world.startRelay()
      const started = performance.now()
      const perSecond: number[] = []
      let before = 0
      const timer = setInterval(() => {
        perSecond.push(clients.up() - before)
        before = clients.up()
      }, 1_000)
      await eventually(() => clients.up() >= AGENTS * 0.99, '99 of 100 are back', 2 * BACK_MS)
      const most = performance.now() - started
      await eventually(() => clients.up() === AGENTS, 'all are back', 2 * BACK_MS)
      const all = performance.now() - started
      clearInterval(timer)
      const delays = delaysOf(`${delayFile}.${world.relay.pid}`).sort((a, b) => a - b)
      const worst = delays.at(-1) ?? 0
      const typical = delays[Math.floor(delays.length * 0.9)] ?? 0
      const { rssMib } = footprint(world.relay.pid)
      process.stdout.write(
        `    99 of 100 back in ${(most / 1_000).toFixed(1)} s, all in ${(all / 1_000).toFixed(1)} s; ` +
          `at most ${Math.max(...perSecond)} a second; event loop p99 of a second: 9 of 10 seconds ${typical} ms, ` +
          `worst ${worst} ms; relay ${rssMib.toFixed(0)} MiB\n`,
      )
      assert.ok(all <= BACK_MS)
      assert.ok(typical <= DELAY_P99_MS)
      assert.ok(rssMib <= RSS_MIB)
    } finally {
      clients.stop()
      await kit[Symbol.asyncDispose]()
    }
  })
})
