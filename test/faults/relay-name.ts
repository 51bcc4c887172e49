import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { dial, echoTarget } from '../support/tcp-kit.ts'
import { startWorld } from './world.ts'

/**
 * F11: node test/faults/relay-name.ts (Linux, root; two minutes)
 * The name of the relay stops to resolve: NXDOMAIN, SERVFAIL, a resolver that says nothing for 30 s. The agent runs in a mount
 * namespace whose resolv.conf names a resolver of this test.
 */

const NAME = 'relay.test'
const RESOLVER = '127.0.0.77'
const BACK_MS = 60_000
const LIVE_MS = 10_000
const SILENT_MS = 30_000

type Mode = 'right' | 'nxdomain' | 'servfail' | 'silent'

/** RFC 1035: bits of the answer's flags, and types. */
const FLAGS = { right: 0x8180, nxdomain: 0x8183, servfail: 0x8182 } as const
const TYPE_A = 1

async function startResolver() {
  const socket = dgram.createSocket('udp4')
  const resolver = { mode: 'right' as Mode, questions: 0, close: () => socket.close() }
  socket.on('message', (question, from) => {
    resolver.questions++
    if (resolver.mode === 'silent') return
    let end = 12
    while (question[end] !== 0) end += (question[end] ?? 0) + 1
    const asks = question.subarray(12, end + 5)
    const isAnswered = resolver.mode === 'right' && asks.readUInt16BE(asks.length - 4) === TYPE_A
    const head = Buffer.alloc(12)
    head.set(question.subarray(0, 2))
    head.writeUInt16BE(FLAGS[resolver.mode], 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(isAnswered ? 1 : 0, 6)
    const record = Buffer.from('c00c0001000100000000000' + '47f000001', 'hex')
    socket.send(Buffer.concat([head, asks, ...(isAnswered ? [record] : [])]), from.port, from.address)
  })
  socket.bind(53, RESOLVER)
  await once(socket, 'listening')
  return resolver
}

const pass = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('F11: the name of the relay does not resolve', () => {
  it('F11: a living session does not care, a lost one is tried for, and is back within 60 s of the repair', async () => {
    const resolver = await startResolver()
    const file = join(tmpdir(), `sallyport-resolv-${process.pid}`)
    await writeFile(file, `nameserver ${RESOLVER}\n`)
    const enter = ['unshare', '-m', 'sh', '-c', `mount --bind ${file} /etc/resolv.conf && exec "$@"`, 'sh']
    await using target = await echoTarget()
    await using world = await startWorld({ relayFlags: ['--name', NAME] })
    const agent = await world.startAgent({ prefix: enter, targets: { echo: target.port } })
    const port = await world.publish('berlin/echo')
    const client = await dial(port)
    client.socket.write('x')
    await client.has(1)
    const sessions = await world.sessionsOf('berlin')

    for (const mode of ['nxdomain', 'servfail', 'silent'] as const) {
      resolver.mode = mode
      await pass(LIVE_MS / 3)
    }
    client.socket.write('y')
    await client.has(2)
    const now = await world.sessionsOf('berlin')
    assert.ok(
      sessions.every((name) => now.includes(name)),
      'the sessions are those of before',
    )
    client.socket.destroy()

    resolver.mode = 'nxdomain'
    await world.relay.end('SIGKILL')
    await world.startRelay()
    const failures = () => agent.part.log().filter(({ msg }) => msg === 'not connected')
    for (const [mode, ms] of [
      ['nxdomain', LIVE_MS],
      ['servfail', LIVE_MS],
      ['silent', SILENT_MS],
    ] as const) {
      resolver.mode = mode
      const before = failures().length
      await pass(ms)
      process.stdout.write(`    ${mode}: ${failures().length - before} attempts\n`)
    }
    const pauses = failures().map(({ retryMs }) => Number(retryMs))
    assert.ok(pauses.length >= 4 && new Set(pauses).size > pauses.length / 2, `${pauses}`)
    resolver.mode = 'right'
    const repaired = performance.now()
    await eventually(async () => (await world.sessionsOf('berlin')).length > 0, 'it is back', BACK_MS)
    process.stdout.write(`    back ${Math.round(performance.now() - repaired)} ms after the repair\n`)
    const [last] = failures().slice(-1)
    process.stdout.write(`    last failure: ${JSON.stringify(last)}\n`)
    const again = await dial(await world.publish('berlin/echo').catch(() => port))
    again.socket.end('works')
    assert.equal(String((await again.closed).bytes), 'works')
    resolver.close()
  })
})
