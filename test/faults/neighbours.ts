import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { dial, listenTarget } from '../support/tcp-kit.ts'
import { startWorld, type World } from './world.ts'

/**
 * F19: node test/faults/neighbours.ts [SECONDS] (10 by default, three times)
 * Two tenants of one relay. One has 200 streams that carry what they can; how the echoes of 1 KiB of the other fare, and what
 * its own download gets.
 */

const SECONDS = Number(process.argv[2] ?? 10)
const BULK = 200
const MIB = 1024 * 1024
const TIMES = 3
const QUESTION = Buffer.alloc(1_024, 'q')

/** A process with one end of bulk streams. */
function bulkEnd(...args: string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'bulk-ends.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let last = 0
  const first = Promise.withResolvers<number>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    last = Number(line)
    first.resolve(last)
  })
  return { first: first.promise, last: () => last, stop: () => child.kill() }
}

/** Round trips of echoes in ms, one after the other, sorted. */
async function echoes(port: number): Promise<number[]> {
  const { socket } = await dial(port)
  socket.removeAllListeners('data')
  const times: number[] = []
  const until = performance.now() + SECONDS * 1_000
  while (performance.now() < until) {
    const began = performance.now()
    let left = QUESTION.length
    await new Promise<void>((resolve) => {
      const take = (chunk: Buffer) => {
        left -= chunk.length
        if (left > 0) return
        socket.off('data', take)
        resolve()
      }
      socket.on('data', take)
      socket.write(QUESTION)
    })
    times.push(performance.now() - began)
  }
  socket.destroy()
  return times.sort((a, b) => a - b)
}

/** A tenant with a site, and a port that leads to each of its resources. */
async function tenantOf(world: World, tenant: string, targets: Readonly<Record<string, number>>) {
  await world.atRelay('relay', 'tenant', 'add', tenant)
  await world.startAgent({ site: 'hq', tenant, targets })
  const ports = new Map<string, number>()
  for (const name of Object.keys(targets)) {
    const credentials = await world.credentials(`${tenant}-${name}`, `hq/${name}`, tenant)
    ports.set(name, (await world.connect(`hq/${name}`, credentials)).port)
  }
  return (name: string) => ports.get(name) ?? 0
}

const quantile = (sorted: readonly number[], share: number) =>
  sorted[Math.floor((sorted.length - 1) * share)] ?? 0

describe('F19: a neighbour who takes what there is', () => {
  it('F19: leaves the echoes of another tenant at most three times as slow as at rest, and its download a share', async () => {
    const bulk = bulkEnd('serve')
    await using echo = await listenTarget((socket) => socket.pipe(socket))
    await using world = await startWorld()
    const bulkPort = await bulk.first
    const loud = await tenantOf(world, 'loud', { bulk: bulkPort })
    const quiet = await tenantOf(world, 'quiet', { bulk: bulkPort, echo: echo.port })
    const idle = await echoes(quiet('echo'))
    const drinkers = bulkEnd('drink', String(loud('bulk')), String(BULK))
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    const busy = await echoes(quiet('echo'))
    const own = bulkEnd('drink', String(quiet('bulk')), '1')
    await own.first
    const before = [drinkers.last(), own.last()]
    await new Promise((resolve) => setTimeout(resolve, SECONDS * 1_000))
    const [theirs = 0, ours = 0] = [drinkers, own].map(
      (one, index) => (one.last() - (before[index] ?? 0)) / MIB / SECONDS,
    )
    for (const one of [bulk, drinkers, own]) one.stop()
    const [at, beside] = [quantile(idle, 0.99), quantile(busy, 0.99)]
    process.stdout.write(
      `    echo p50 ${quantile(idle, 0.5).toFixed(2)} -> ${quantile(busy, 0.5).toFixed(2)} ms, ` +
        `p99 ${at.toFixed(2)} -> ${beside.toFixed(2)} ms; one download ${ours.toFixed(1)} MiB/s beside ` +
        `${BULK} with ${theirs.toFixed(1)} MiB/s together\n`,
    )
    assert.ok(ours >= theirs / BULK, 'less than one of the others')
    assert.ok(beside <= TIMES * at)
  })
})
