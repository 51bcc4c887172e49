import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Running, sallyport, startSallyport } from '../test/support/command-line.ts'

/**
 * What an agent takes that has nothing to do: memory, time of a core, bytes on the wire. Joined, two sessions, one rule whose
 * target is asked how it is. Linux, `ss` of iproute2.
 *
 *     node bench/agent-at-rest.ts                                              # from the sources, 5 minutes
 *     node bench/agent-at-rest.ts --agent out/executables/sallyport-agent-linux-x64  # as it is built
 *
 * `--seconds N` measures for another time. The exit status is 1 where a limit is passed.
 */

const LIMITS = { mib: 70, corePercent: 0.1, kibPerMinute: 1 } as const

/** From the second session on nothing happens any more that belongs to the start. */
const SETTLE_SECONDS = 30

/** What an IPv4 segment has round its bytes: headers of IP and TCP, timestamps. */
const SEGMENT_BYTES = 52

const { values } = parseArgs({
  options: { agent: { type: 'string' }, seconds: { type: 'string', default: '300' } },
})
const seconds = Number(values.seconds)
if (!Number.isInteger(seconds) || seconds < 10) throw new Error('--seconds is a whole number from 10 on')
const agentProgram = values.agent === undefined ? undefined : [values.agent]

interface Reading {
  readonly cpuMs: number
  /** Of the connections to the relay, both ways, as the other end would count them. */
  readonly wireBytes: number
  readonly tlsBytes: number
}

/** Nanoseconds that the threads of a process have run; those that have ended are lost, and an agent has none of these. */
function cpuMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const ns = threads.map((id) =>
    Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]),
  )
  return ns.reduce((sum, one) => sum + one, 0) / 1e6
}

/** `VmRSS`, or the part of it that is not the program's own file, `RssAnon`; in MiB. */
function residentMib(pid: number, part: 'VmRSS' | 'RssAnon'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${part}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024
}

function sockets(pid: number, relayPort: number): { tlsBytes: number; segments: number; count: number } {
  const shown = execFileSync('ss', ['-tinpOH', 'state', 'established', `dport = :${relayPort}`], {
    encoding: 'utf8',
  })
  const mine = shown.split('\n').filter((line) => line.includes(`pid=${pid},`))
  const sum = (name: string) =>
    mine.reduce((total, line) => total + Number(new RegExp(` ${name}:(\\d+)`).exec(line)?.[1] ?? 0), 0)
  const tlsBytes = sum('bytes_sent') + sum('bytes_received')
  return { tlsBytes, segments: sum('segs_out') + sum('segs_in'), count: mine.length }
}

function read(pid: number, relayPort: number): Reading {
  const { tlsBytes, segments } = sockets(pid, relayPort)
  return { cpuMs: cpuMs(pid), tlsBytes, wireBytes: tlsBytes + segments * SEGMENT_BYTES }
}

async function expectSessions(pid: number, relayPort: number, wanted: number): Promise<void> {
  for (let left = 40; sockets(pid, relayPort).count !== wanted; left--) {
    if (left === 0) throw new Error(`the agent does not come to ${wanted} sessions`)
    await sleep(250)
  }
}

async function startTarget(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.resume().on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { server, port: address.port }
}

async function done(args: readonly string[], input = ''): Promise<string> {
  const { status, out, err } = await sallyport(args, input)
  if (status !== 0) throw new Error(`sallyport ${args.join(' ')}: ${err}`)
  return out
}

async function measure(agent: Running, relayPort: number): Promise<void> {
  await expectSessions(agent.pid, relayPort, 2)
  await sleep(SETTLE_SECONDS * 1_000)
  const before = read(agent.pid, relayPort)
  const resident: number[] = []
  for (let left = seconds; left > 0; left -= 5) {
    await sleep(Math.min(5, left) * 1_000)
    resident.push(residentMib(agent.pid, 'VmRSS'))
  }
  const after = read(agent.pid, relayPort)
  const mib = Math.max(...resident)
  const corePercent = (after.cpuMs - before.cpuMs) / (seconds * 10)
  const perMinute = (bytes: number) => bytes / 1024 / (seconds / 60)
  const kibPerMinute = perMinute(after.wireBytes - before.wireBytes)
  const bare = perMinute(after.tlsBytes - before.tlsBytes)
  const rows: [string, number, number, string][] = [
    ['resident, most', mib, LIMITS.mib, 'MiB'],
    ['of a core', corePercent, LIMITS.corePercent, '%'],
    ['on the wire, with the heads of IP and TCP', kibPerMinute, LIMITS.kibPerMinute, 'KiB/min'],
  ]
  for (const [what, value, limit, unit] of rows) {
    const verdict = value <= limit ? 'holds' : 'TOO MUCH'
    process.stdout.write(`${what}: ${value.toFixed(3)} ${unit} (limit ${limit}) ${verdict}\n`)
    if (value > limit) process.exitCode = 1
  }
  const own = residentMib(agent.pid, 'RssAnon')
  process.stdout.write(`of the memory its own, the rest pages of the program's file: ${own.toFixed(3)} MiB\n`)
  process.stdout.write(`of what is on the wire TLS records: ${bare.toFixed(3)} KiB/min\n`)
}

const folder = mkdtempSync(join(tmpdir(), 'sallyport-rest-'))
const [relayData, agentData] = [join(folder, 'relay'), join(folder, 'agent')]
const target = await startTarget()
try {
  await using relay = startSallyport([
    ...['relay', 'up', '--data', relayData, '--json', '--name', 'localhost'],
    ...['--listen', '127.0.0.1:0'],
  ])
  const { address } = await relay.line()
  const relayPort = Number(/:(\d+)$/.exec(String(address))?.[1])
  while ((await relay.line()).event !== 'ready');
  const joinString = join(folder, 'join')
  writeFileSync(joinString, await done(['relay', 'join-token', 'hq', '--data', relayData]), { mode: 0o600 })
  await done(['agent', 'join', '--data', agentData, '--no-service', '--join-file', joinString])
  const loopback = ['--allow-loopback', '--no-probe', '--data', agentData]
  await done(['agent', 'allow', `asked=127.0.0.1:${target.port}`, ...loopback])
  await using agent = startSallyport(['agent', 'run', '--data', agentData, '--json'], agentProgram)
  await agent.line()
  await measure(agent, relayPort)
} finally {
  target.server.close()
  rmSync(folder, { recursive: true, force: true })
}
