import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/deadline.ts'
import { startKit } from '../support/relay-kit.ts'
import { bulkService, leastCost } from './bulk-cost.ts'
import { formatLap, Laps } from './laps.ts'
import { writeIdentities } from './many-identities.ts'
import { judge, say } from './verdict.ts'
import { startWorld, type World } from './world.ts'

/**
 * F16: node test/faults/many-agents.ts [AGENTS] [HANDSHAKES] (10,000 by default, and the 300 a second that a relay takes by
 * default; Linux, `ulimit -n 20000`; about 6 min for 10,000, of which the certificates are one and the handshakes two)
 * Many idle agents, each with one session and from an address of its own: what a session costs the relay's memory, how late
 * its event loop is, and what a GiB through another agent costs with them and without. Then the relay is killed and started
 * again: how soon all are back, how many handshakes a second there were, how late the event loop was and how large the relay is.
 */

const AGENTS = Number(process.argv[2] ?? 10_000)
const HANDSHAKES = Number(process.argv[3] ?? 300)
/** Each is a process with as many sockets. */
const PER_PROCESS = 2_500
const FIRST_MS = 300_000
const BACK_MS = 60_000
const IDLE_MS = 30_000
const BULK_MIB = 512
const BULK_TIMES = 3

const LIMITS = {
  sessionKib: 60,
  idleP99Ms: 20,
  /** Of the cost of a GiB without idle agents. */
  costShare: 1.1,
  backP99Ms: 200,
  rssMib: 1_536,
} as const

const seconds = (since: number) => ((performance.now() - since) / 1_000).toFixed(1)

/** A relay's data with all of the agents, and a file of identities for each process of them. */
async function enrol(folder: string) {
  const began = performance.now()
  const kit = await startKit()
  const files: string[] = []
  for (let from = 0; from < AGENTS; from += PER_PROCESS) {
    const path = join(folder, `identities-${from}.json`)
    await writeIdentities(kit, path, from, Math.min(PER_PROCESS, AGENTS - from))
    files.push(path)
  }
  const { port } = kit
  await kit.stopRelay()
  say(`${AGENTS} certificates in ${seconds(began)} s`)
  return { kit, port, files }
}

function startClients(files: readonly string[], port: number) {
  const counts = files.map(() => 0)
  const children: ChildProcess[] = files.map((file, index) => {
    const args = [join(import.meta.dirname, 'simulated-agents.ts'), file, `${index * PER_PROCESS}`, `${port}`]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    createInterface({ input: child.stdout }).on('line', (line) => {
      counts[index] = Number(line)
    })
    return child
  })
  return {
    up: () => counts.reduce((sum, count) => sum + count, 0),
    stop: () => children.forEach((one) => void one.kill()),
  }
}

type Clients = ReturnType<typeof startClients>

/** Waits until all are back after the start of the relay. @returns in how many seconds, and the most in one of them */
async function comeBack(clients: Clients) {
  const began = performance.now()
  const perSecond: number[] = []
  let before = clients.up()
  const timer = setInterval(() => {
    perSecond.push(clients.up() - before)
    before = clients.up()
  }, 1_000)
  try {
    await eventually(() => clients.up() >= AGENTS * 0.99, '99 of 100 are back', 2 * BACK_MS)
    const most = seconds(began)
    await eventually(() => clients.up() === AGENTS, 'all are back', 2 * BACK_MS)
    const all = seconds(began)
    say(`99 of 100 back in ${most} s, all in ${all} s; at most ${Math.max(0, ...perSecond)} a second`)
    return Number(all)
  } finally {
    clearInterval(timer)
  }
}

/** What the agents cost while they do nothing. */
async function measureIdle(world: World, laps: Laps, connect: () => Promise<void>) {
  await using service = await bulkService(BULK_MIB)
  const { part } = await world.startAgent({ site: 'bulk', targets: { bulk: service.port }, ...laps.options })
  const port = await world.publish('bulk/bulk')
  const { pid } = world.relay
  const cost = (times = BULK_TIMES) => leastCost(port, [pid, part.pid], times)
  await cost(1)
  const alone = await cost()
  const before = await laps.lap(pid)
  await connect()
  await laps.lap(pid)
  await sleep(IDLE_MS)
  const idle = await laps.lap(pid)
  const sessionKib = ((idle.rssMib - before.rssMib) * 1024) / AGENTS
  say(`${sessionKib.toFixed(1)} KiB a session at the relay (${idle.rssMib.toFixed(0)} MiB with all)`)
  say(`idle: ${formatLap(idle)}; ${((idle.cpuSeconds / IDLE_MS) * 100_000).toFixed(1)} % of a processor`)
  const among = await cost()
  say(`beside a bulk stream: ${formatLap(await laps.lap(pid))}`)
  say(`CPU of relay and agent: ${alone.toFixed(2)} s/GiB alone, ${among.toFixed(2)} s/GiB among them`)
  return { sessionKib, idle, share: among / alone }
}

describe('F16: many agents and a relay that is killed', () => {
  it(`F16: ${AGENTS} idle agents cost little, and are back within a minute of the relay's start`, async () => {
    const root = await mkdtemp(join(tmpdir(), 'sallyport-agents-'))
    const { kit, port, files } = await enrol(root)
    const laps = new Laps(join(root, 'laps'))
    await using world = await startWorld({
      listen: `127.0.0.1:${port}`,
      relayData: kit.directory,
      relayFlags: ['--limit', `tunnels-per-second=${HANDSHAKES}`],
      relay: laps.options,
    })
    let clients: Clients | undefined
    try {
      const { sessionKib, idle, share } = await measureIdle(world, laps, async () => {
        const began = performance.now()
        const first = startClients(files, port)
        clients = first
        await eventually(() => first.up() === AGENTS, 'all are there', FIRST_MS)
        say(`all connected in ${seconds(began)} s`)
      })
      const there = clients as Clients
      await world.relay.end('SIGKILL')
      await eventually(() => there.up() === 0, 'all know', BACK_MS)
      await world.startRelay()
      // The lap of the new process begins while they come back.
      const [back] = await Promise.all([comeBack(there), laps.lap(world.relay.pid)])
      const lap = await laps.lap(world.relay.pid)
      say(`while they come back: ${formatLap(lap)}; relay ${lap.rssMib.toFixed(0)} MiB`)
      judge({
        'KiB a session at the relay': [sessionKib, LIMITS.sessionKib],
        'idle: event loop p99, ms': [idle.p99, LIMITS.idleP99Ms],
        'CPU of a GiB among them, times that alone': [share, LIMITS.costShare],
        'all back, s': [back, BACK_MS / 1_000],
        'coming back: event loop p99, ms': [lap.p99, LIMITS.backP99Ms],
        'relay, MiB': [lap.rssMib, LIMITS.rssMib],
      })
    } finally {
      clients?.stop()
      await kit[Symbol.asyncDispose]()
      await rm(root, { recursive: true, force: true })
    }
  })
})
