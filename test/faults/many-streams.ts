import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/deadline.ts'
import { echoTarget } from '../support/tcp-kit.ts'
import { bulkService, costOfDownload } from './bulk-cost.ts'
import { formatLap, Laps } from './laps.ts'
import { footprint } from './part.ts'
import { judge, say } from './verdict.ts'
import { startWorld } from './world.ts'

/**
 * F16b: node test/faults/many-streams.ts [STREAMS] (4,096 by default, which is the most; Linux, `ulimit -n 10000`; 2 min)
 * So many streams of a listener over the one session of an agent: how late the event loops of relay and agent are while all
 * are idle and while one carries bulk, what an idle one costs both together, and that nothing is left of them.
 */

const STREAMS = Number(process.argv[2] ?? 4_096)
/** That many are opened at a time; one more is for bulk. */
const AT_ONCE = 64
const IDLE_MS = 30_000
const BULK_MIB = 2_048
const ECHOES = 2_000

const LIMITS = { streamKib: 45, p99Ms: 20, leftDescriptors: 8 } as const

/** Opens a stream that has carried a byte each way. */
async function open(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  await echo(socket)
  return socket
}

/** @returns how long a byte took there and back, in ms */
async function echo(socket: net.Socket): Promise<number> {
  const began = performance.now()
  socket.write('?')
  await once(socket, 'data')
  return performance.now() - began
}

async function openAll(port: number): Promise<net.Socket[]> {
  const sockets: net.Socket[] = []
  while (sockets.length < STREAMS - 1) {
    const count = Math.min(AT_ONCE, STREAMS - 1 - sockets.length)
    sockets.push(...(await Promise.all(Array.from({ length: count }, () => open(port)))))
  }
  return sockets
}

/** Round trips on one stream after the other, in ms, sorted. */
async function echoes(sockets: readonly net.Socket[]): Promise<number[]> {
  const times: number[] = []
  for (let count = 0; count < ECHOES; count++)
    times.push(await echo(sockets[count % sockets.length] as net.Socket))
  return times.sort((a, b) => a - b)
}

const part = (sorted: readonly number[], share: number) => sorted[Math.floor(sorted.length * share)] ?? 0

function formatEchoes(times: readonly number[]): string {
  return `echo of one byte ${part(times, 0.5).toFixed(2)} ms (p50), ${part(times, 0.99).toFixed(2)} ms (p99)`
}

describe('F16b: many streams on one session', () => {
  it(`F16b: ${STREAMS}: no event loop is late by 20 ms at p99, and they cost little`, async () => {
    const root = await mkdtemp(join(tmpdir(), 'sallyport-streams-'))
    const laps = new Laps(join(root, 'laps'))
    await using target = await echoTarget()
    await using service = await bulkService(BULK_MIB)
    await using world = await startWorld({ relay: laps.options })
    const targets = { echo: target.port, bulk: service.port }
    const agent = await world.startAgent({ targets, sessions: 1, ...laps.options })
    const [port, bulk] = [await world.publish('berlin/echo'), await world.publish('berlin/bulk')]
    const pids = [world.relay.pid, agent.part.pid] as const
    const lapBoth = async () => [await laps.lap(pids[0]), await laps.lap(pids[1])] as const
    const rss = (both: Awaited<ReturnType<typeof lapBoth>>) => both[0].rssMib + both[1].rssMib
    const sayBoth = (when: string, [relay, mine]: Awaited<ReturnType<typeof lapBoth>>) => {
      say(`${when}: relay: ${formatLap(relay)}`)
      say(`${when}: agent: ${formatLap(mine)}`)
    }
    try {
      ;(await open(port)).destroy()
      const descriptors = pids.map((pid) => footprint(pid).descriptors)
      const before = await lapBoth()
      const began = performance.now()
      const sockets = await openAll(port)
      say(`${sockets.length} streams opened in ${((performance.now() - began) / 1_000).toFixed(1)} s`)
      await lapBoth()
      await sleep(IDLE_MS)
      const idle = await lapBoth()
      sayBoth('idle', idle)
      const streamKib = ((rss(idle) - rss(before)) * 1_024) / sockets.length
      say(`${streamKib.toFixed(1)} KiB a stream at relay and agent together`)
      say(formatEchoes(await echoes(sockets)))
      await lapBoth()
      const [cost, times] = await Promise.all([costOfDownload(bulk, pids), echoes(sockets)])
      const busy = await lapBoth()
      sayBoth('beside a bulk stream', busy)
      say(`${formatEchoes(times)}; CPU of relay and agent ${cost.toFixed(2)} s/GiB with the echoes`)
      for (const socket of sockets) socket.destroy()
      const left = () =>
        Math.max(...pids.map((pid, index) => footprint(pid).descriptors - (descriptors[index] ?? 0)))
      await eventually(() => left() <= LIMITS.leftDescriptors, 'nothing is left', 20_000)
      judge({
        'KiB an idle stream': [streamKib, LIMITS.streamKib],
        'idle: relay, event loop p99, ms': [idle[0].p99, LIMITS.p99Ms],
        'idle: agent, event loop p99, ms': [idle[1].p99, LIMITS.p99Ms],
        'beside bulk: relay, event loop p99, ms': [busy[0].p99, LIMITS.p99Ms],
        'beside bulk: agent, event loop p99, ms': [busy[1].p99, LIMITS.p99Ms],
        'descriptors left': [left(), LIMITS.leftDescriptors],
      })
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  })
})
