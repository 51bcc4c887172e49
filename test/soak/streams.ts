import net from 'node:net'
import { footprint } from '../faults/part.ts'
import { startWorld } from '../faults/world.ts'
import { listenTarget } from '../support/tcp-kit.ts'

/**
 * F28: node test/soak/streams.ts [MINUTES] [STREAMS-PER-SECOND] (30 and 500 by default)
 * Short streams, so many each second, half of them by the relay's listener and half by a connector, with relay, agent and
 * connector in processes of their own. Prints memory and descriptors of each every minute. Exit status 1 where a process grew
 * by more than SLOPE_MIB a minute after its first fifth, where descriptors grew, a stream failed, or something was warned of.
 */

const [minutes = 30, perSecond = 500] = process.argv.slice(2).map(Number)
if (!(minutes > 0) || !(perSecond > 0)) throw new Error('how many minutes, and how many streams a second?')

const SLOPE_MIB = 1
const MORE_DESCRIPTORS = 64
const NOTE_MS = Math.min(60_000, minutes * 6_000)
const TICK_MS = 20
const WORDS = Buffer.alloc(700, 'words ')

const seen = { done: 0, failed: 0 }
let open = 0

function oneStream(port: number): void {
  open++
  let length = 0
  const socket = net.connect({ port, host: '127.0.0.1' })
  socket.on('connect', () => socket.end(WORDS))
  socket.on('data', (chunk: Buffer) => {
    length += chunk.length
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    open--
    if (length === WORDS.length) seen.done++
    else seen.failed++
  })
}

await using target = await listenTarget((socket) => socket.pipe(socket))
await using world = await startWorld({ relayFlags: ['--log-level', 'warn'] })
const agent = await world.startAgent({ targets: { echo: target.port }, flags: ['--log-level', 'warn'] })
const connector = await world.connect('berlin/echo', await world.credentials('soak', 'berlin/echo'))
const ports = [await world.publish('berlin/echo'), connector.port]
const parts = { relay: world.relay, agent: agent.part, connector: connector.part }

interface Note {
  readonly minute: number
  readonly rss: number
  readonly descriptors: number
}
const notes = new Map<string, Note[]>(Object.keys(parts).map((name) => [name, []]))

function note(minute: number): void {
  const cells = Object.entries(parts).map(([name, { pid }]) => {
    const { rssMib, descriptors } = footprint(pid)
    notes.get(name)?.push({ minute, rss: rssMib, descriptors })
    return `${name} ${rssMib.toFixed(0)} MiB ${descriptors} fds`
  })
  const { done, failed } = seen
  process.stdout.write(
    `${minute.toFixed(1)} min  ${cells.join('  ')}  done ${done} failed ${failed} open ${open}\n`,
  )
}

const began = performance.now()
const elapsed = () => performance.now() - began
let started = 0
let noteAt = NOTE_MS
while (elapsed() < minutes * 60_000) {
  for (const due = (elapsed() / 1_000) * perSecond; started < due; started++)
    oneStream(ports[started % 2] ?? 0)
  if (elapsed() > noteAt) {
    note(noteAt / 60_000)
    noteAt += NOTE_MS
  }
  await new Promise((resolve) => setTimeout(resolve, TICK_MS))
}
while (open > 0) await new Promise((resolve) => setTimeout(resolve, 100))
note(elapsed() / 60_000)

/** MiB a minute by least squares, over what came after the first fifth. */
function slopeOf(all: readonly Note[]): number {
  const some = all.filter(({ minute }) => minute > minutes / 5)
  const mean = (of: (one: Note) => number) => some.reduce((sum, one) => sum + of(one), 0) / some.length
  const [x, y] = [mean(({ minute }) => minute), mean(({ rss }) => rss)]
  const above = some.reduce((sum, one) => sum + (one.minute - x) * (one.rss - y), 0)
  return above / some.reduce((sum, one) => sum + (one.minute - x) ** 2, 0)
}

let isBad = seen.failed > 0
for (const [name, all] of notes) {
  const slope = slopeOf(all)
  const grown = (all.at(-1)?.descriptors ?? 0) - (all[0]?.descriptors ?? 0)
  const warned = parts[name as keyof typeof parts].err().match(/MaxListeners|Warning:/g)?.length ?? 0
  process.stdout.write(
    `${name}: ${slope.toFixed(2)} MiB a minute, ${grown} descriptors more, ${warned} warnings\n`,
  )
  if (slope > SLOPE_MIB || grown > MORE_DESCRIPTORS || warned > 0) isBad = true
}
const rate = (seen.done / (minutes * 60)).toFixed(0)
process.stdout.write(`${seen.done} streams, ${rate} a second, ${seen.failed} failed\n`)
process.exitCode = isBad ? 1 : 0
