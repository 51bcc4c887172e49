/**
 * Logins at a steady rate against a relay in a process of its own, over HTTPS with a new connection each, at the real cost of a
 * hash: the 99th percentile must stay under 500 ms with 20 a second.
 *
 *     node bench/login.ts [PER_SECOND] [SECONDS]
 *
 * The relay keeps no connection of who has proved nothing, so each login has a TLS handshake, which costs who begins it as much as who
 * answers it: on a small machine this program takes from what it measures. What both used, and how late this program was
 * itself, is printed beside.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import https from 'node:https'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { type ConnectionOptions, createSecureContext, type SecureContext } from 'node:tls'
import { relayHandshakeOptions } from '../shared/identity/relay-tls.ts'

const PER_SECOND = Number(process.argv[2] ?? 20)
const SECONDS = Number(process.argv[3] ?? 30)
/** What the kernel counts the time of processes in, on every Linux. */
const TICKS_PER_SECOND = 100
const PASSWORD = 'the harbour lies still tonight'
const LOOPBACKS = 200
const KNOWN = 15

const directory = await mkdtemp(join(tmpdir(), 'sallyport-login-'))
const command = [join(import.meta.dirname, '..', 'bin', 'sallyport.js'), 'relay', 'up', '--data', directory]
const relay = spawn(
  process.execPath,
  [...command, '--listen', '127.0.0.1:0', '--name', 'localhost', '--log-level', 'error', '--json'],
  { stdio: ['ignore', 'pipe', 'inherit'] },
)

async function ready(): Promise<{ port: number; link: string }> {
  let port = 0
  let link = ''
  for await (const line of createInterface({ input: relay.stdout })) {
    const event = JSON.parse(line) as { event: string; address?: string; url?: string }
    if (event.event === 'listening') port = Number(event.address?.split(':').at(-1))
    if (event.event === 'setup') link = event.url ?? ''
    if (event.event === 'ready') break
  }
  return { port, link }
}

interface Target {
  readonly port: number
  /** Made once: to read the CA anew for each connection would cost more than the request. */
  readonly secureContext: SecureContext
}

/** Seconds of a core that the relay has used; its hashes run in threads of it. 0 where the kernel does not say. */
async function relaySeconds(): Promise<number> {
  const text = await readFile(`/proc/${relay.pid}/stat`, 'utf8').catch(() => '')
  // Behind the name in parentheses, which may hold anything: fields 14 and 15 of all.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND
}

/** @returns status and ms from the beginning of the connection to the end of the answer */
function post(
  { port, secureContext }: Target,
  path: string,
  body: object,
  from: string,
): Promise<{ status: number; ms: number }> {
  const begun = performance.now()
  const options: https.RequestOptions & ConnectionOptions = {
    ...relayHandshakeOptions('localhost'),
    secureContext,
    ...{
      host: '127.0.0.1',
      port,
      localAddress: from,
      method: 'POST',
      path: `/api/v1${path}`,
      agent: false,
    },
    headers: { host: `localhost:${port}`, 'content-type': 'application/json' },
  }
  return new Promise((resolve, reject) => {
    const request = https.request(options, (response) => {
      response.resume()
      response.on('end', () => resolve({ status: response.statusCode ?? 0, ms: performance.now() - begun }))
    })
    request.on('error', reject)
    request.end(JSON.stringify(body))
  })
}

try {
  const { port, link } = await ready()
  const target: Target = {
    port,
    secureContext: createSecureContext({
      ca: await readFile(join(directory, 'ca', 'ca.pem')),
      minVersion: 'TLSv1.3',
    }),
  }
  await post(target, '/links/spend', { link, login: 'olga', password: PASSWORD }, '127.0.0.1')
  const logins: Promise<{ status: number; ms: number }>[] = []
  const delay = monitorEventLoopDelay({ resolution: 5 })
  const [ownBefore, relayBefore] = [process.cpuUsage(), await relaySeconds()]
  delay.enable()
  const begun = performance.now()
  for (let i = 0; i < PER_SECOND * SECONDS; i++) {
    const due = begun + (i * 1_000) / PER_SECOND
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())))
    // From many addresses, so that the budget of none is used up; every second one is wrong, of a name of its own. A person
    // is known from 20 addresses at most, and unknown ones share a budget.
    const body =
      i % 2 === 0 ? { login: 'olga', password: PASSWORD } : { login: `nobody-${i}`, password: 'wrong' }
    const from = i % 2 === 0 ? `127.0.1.${((i / 2) % KNOWN) + 1}` : `127.0.2.${(i % LOOPBACKS) + 1}`
    logins.push(post(target, '/session', body, from))
  }
  const all = await Promise.all(logins)
  delay.disable()
  const passed = (performance.now() - begun) / 1_000
  const own = process.cpuUsage(ownBefore)
  const cores = [(await relaySeconds()) - relayBefore, (own.user + own.system) / 1e6].map((used) =>
    (used / passed).toFixed(2),
  )
  const times = all.map(({ ms }) => ms).toSorted((a, b) => a - b)
  const at = (share: number) =>
    (times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0).toFixed(0)
  const counts = Map.groupBy(all, ({ status }) => status)
  const statuses = [...counts].map(([status, some]) => `${status}: ${some.length}`).join(', ')
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')
  process.stdout.write(
    `${PER_SECOND}/s for ${SECONDS} s: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms (${statuses}); load ${load}\n`,
  )
  const late = [50, 99].map((share) => (delay.percentile(share) / 1e6 - 5).toFixed(1))
  process.stdout.write(
    `cores: relay ${cores[0]}, this program ${cores[1]} (the TLS handshakes cost both alike); its own loop late by p50 ${late[0]} ms, p99 ${late[1]} ms\n`,
  )
  process.exitCode = Number(at(0.99)) < 500 ? 0 : 1
} finally {
  relay.kill()
  await once(relay, 'exit')
  await rm(directory, { recursive: true, force: true })
}
