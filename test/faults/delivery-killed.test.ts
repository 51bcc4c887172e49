import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { callControl } from '../../shared/control/call.ts'
import { controlPath } from '../../shared/control/path.ts'
import { RECEIVER_CA, webhookReceiver } from '../relay/audit/delivery/delivery-fixture.ts'
import { type Running, startSallyport } from '../support/command-line.ts'
import { eventually } from '../support/deadline.ts'

/** Acts between two kills. */
const ACTS = 25

interface Received {
  readonly seq: number
  readonly hash: string
}

test('no record is lost or out of order where the receiver fails and cuts, and the relay is killed in the middle', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'sallyport-killed-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const data = join(root, 'relay')
  const ca = join(root, 'receiver.pem')
  await writeFile(ca, RECEIVER_CA)
  const received: Received[] = []
  let relay: Running | undefined
  /** What happens at the calls, one after the other; then all goes well. */
  const faults = ['500', 'kill', 'kill after', 'cut', 'kill']
  const kill = () => process.kill(relay?.pid ?? 0, 'SIGKILL')
  const target = await webhookReceiver(t, (request, body, response) => {
    const fault = faults.shift()
    if (fault === '500') return void response.writeHead(500).end()
    if (fault === 'cut') return void request.socket.destroy()
    if (fault === 'kill') return void kill()
    received.push(...JSON.parse(body).records)
    response.writeHead(204)
    response.end(() => {
      if (fault === 'kill after') kill()
    })
  })
  const up = async () => {
    const args = ['relay', 'up', '--data', data, '--listen', '127.0.0.1:0', '--delivery-range', '127.0.0.0/8']
    relay = startSallyport([...args, '--log-level', 'silent', '--json'])
    // It may be killed again before it is ready.
    const isReady = async (running: Running): Promise<boolean> =>
      running.line().then(
        ({ event }) => event === 'ready' || isReady(running),
        () => false,
      )
    await isReady(relay)
  }
  t.after(() => relay?.stop())
  const { signal } = new AbortController()
  const ask = (method: string, params: object) => callControl(controlPath(data), method, params, { signal })
  await up()
  const delivery = { delivery: 'siem', kind: 'webhook', target, ca: RECEIVER_CA, fromStart: true }
  await ask('delivery.add', delivery)
  /** The relay acts until it is dead, or has done them all. */
  const act = async (round: number) => {
    for (let i = 0; i < ACTS; i++) {
      await ask('environment.add', { environment: `e${round}-${i}` }).catch(() => undefined)
    }
  }
  for (let round = 0; round < 4; round++) {
    await act(round)
    if (round < 3) {
      await eventually(async () => isDead(relay), `kill ${round + 1}`, 20_000)
      await relay?.stop()
      await up()
    }
  }
  const { items } = (await ask('audit.list', { order: 'oldest', limit: 1_000 })) as { items: Received[] }
  const last = items.at(-1)?.seq ?? 0
  assert.deepEqual([items.length, faults], [last, []])
  await eventually(() => received.some((one) => one.seq === last), 'the last record', 20_000)
  // Each of them, as it stands in the chain.
  const first = new Map<number, string>()
  for (const { seq: number, hash } of received) {
    assert.equal(first.get(number) ?? hash, hash)
    // The first time in order; what comes again goes back, and then on without a gap.
    if (!first.has(number)) assert.equal(number, first.size + 1)
    first.set(number, hash)
  }
  assert.deepEqual(
    [...first].slice(0, last),
    items.map(({ seq: number, hash }) => [number, hash]),
  )
  assert.ok(received.length > first.size, 'what was taken without an answer came twice')
})

function isDead(relay: Running | undefined): boolean {
  try {
    process.kill(relay?.pid ?? 0, 0)
    return false
  } catch {
    return true
  }
}
