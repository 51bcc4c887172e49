import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { Resolver } from '../../agent/dial/resolve.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { dial, listenTarget, type TcpEnd, type TcpTarget } from '../support/tcp-kit.ts'

/** More than every window and buffer on the way, so that the end cannot overtake what is before it. */
const BULK = randomBytes(6 * 1024 * 1024)

/** A resolver that answers when the test lets it. */
function heldResolver(): Resolver & { held: number; release(): void } {
  const waiting: (() => void)[] = []
  return {
    held: 0,
    async resolve() {
      this.held++
      await new Promise<void>((resolve) => waiting.push(resolve))
      return ['127.0.0.1']
    },
    forget() {},
    release() {
      for (const go of waiting.splice(0)) go()
    },
  }
}

/** F03: every order of ends and resets; nc and socat do it in test/faults/half-close-tools.ts. */
describe('an end, a reset and half an end pass through as if the service were next door', () => {
  let kit: RelayKit
  let target: TcpTarget
  let agent: TestAgent
  const resolver = heldResolver()
  /** Road to the ports that lead to the target, and to the target behind a name that must be resolved first. */
  const ports: Record<string, { direct: number; named: number }> = {}

  before(async () => {
    kit = await startKit()
    target = await listenTarget()
    const named = `protocol = "tcp"\nhost = "slow.test"\nport = ${target.port}\nallow_loopback = true`
    agent = await kit.startAgent({ rules: { direct: target.port, named }, resolver })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/direct', 'berlin/named'))
    ports.listener = { direct: await kit.publish('berlin/direct'), named: await kit.publish('berlin/named') }
    ports.connector = {
      direct: (await kit.forward(connector, 'berlin/direct')).port,
      named: (await kit.forward(connector, 'berlin/named')).port,
    }
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  for (const road of ['listener', 'connector'] as const) {
    const open = async (): Promise<[TcpEnd, TcpEnd]> => {
      const client = await dial(ports[road]?.direct ?? 0)
      return [client, await target.accept()]
    }

    it(`${road}: the client ends first and still gets an answer of 6 MiB`, async () => {
      const [client, service] = await open()
      client.socket.end('question')
      await service.finished
      assert.equal(service.received().toString(), 'question')
      service.socket.end(BULK)
      const { bytes, end } = await client.closed
      assert.equal(end, 'FIN')
      assert.ok(bytes.equals(BULK))
      assert.equal((await service.closed).end, 'FIN')
    })

    it(`${road}: the service ends first and still gets an upload of 6 MiB`, async () => {
      const [client, service] = await open()
      service.socket.end('hello')
      await client.finished
      assert.equal(client.received().toString(), 'hello')
      client.socket.end(BULK)
      const { bytes, end } = await service.closed
      assert.equal(end, 'FIN')
      assert.ok(bytes.equals(BULK))
      assert.equal((await client.closed).end, 'FIN')
    })

    it(`${road}: both end at once, and nothing of either is lost`, async () => {
      const [client, service] = await open()
      client.socket.end(BULK)
      service.socket.end(BULK)
      const [atClient, atService] = await Promise.all([client.closed, service.closed])
      assert.equal(atClient.end, 'FIN')
      assert.equal(atService.end, 'FIN')
      assert.ok(atClient.bytes.equals(BULK))
      assert.ok(atService.bytes.equals(BULK))
    })

    it(`${road}: a service that speaks only after the end of the question is heard`, async () => {
      const [client, service] = await open()
      client.socket.write('first ')
      await service.has(6)
      client.socket.end('second')
      await service.finished
      service.socket.write('you said ')
      await client.has(9)
      service.socket.end(service.received())
      const { bytes, end } = await client.closed
      assert.equal(`${end} ${bytes}`, 'FIN you said first second')
    })

    it(`${road}: an end that comes before the target was dialled arrives behind the bytes before it`, async () => {
      const held = resolver.held
      const client = await dial(ports[road]?.named ?? 0)
      client.socket.end('early')
      while (resolver.held === held) await new Promise((resolve) => setImmediate(resolve))
      resolver.release()
      const service = await target.accept()
      await service.finished
      assert.equal(service.received().toString(), 'early')
      service.socket.end('late')
      const { bytes, end } = await client.closed
      assert.equal(`${end} ${bytes}`, 'FIN late')
    })

    it(`${road}: a reset of the client reaches the service as a reset`, async () => {
      const [client, service] = await open()
      client.socket.write('half a quest')
      await service.has(12)
      client.socket.resetAndDestroy()
      const { end, code } = await service.closed
      assert.equal(`${end} ${code}`, 'RST ECONNRESET')
    })

    it(`${road}: a reset of the client before the target was dialled leaves no connection`, async () => {
      const held = resolver.held
      const accepted = target.accepted
      const from = agent.log.length
      const client = await dial(ports[road]?.named ?? 0)
      client.socket.write('never mind')
      while (resolver.held === held) await new Promise((resolve) => setImmediate(resolve))
      client.socket.resetAndDestroy()
      await agent.log.until('stream closed', { code: 'CANCELLED' }, from)
      resolver.release()
      const [probe, service] = await open()
      assert.equal(target.accepted, accepted + 1)
      probe.socket.end()
      service.socket.end()
      await Promise.all([probe.closed, service.closed])
    })

    it(`${road}: a reset of the service in the middle of an answer is never taken for its end`, async () => {
      const [client, service] = await open()
      service.socket.write(BULK)
      await client.has(1_000_000)
      service.socket.resetAndDestroy()
      const { bytes, end, code } = await client.closed
      assert.equal(`${end} ${code}`, 'RST ECONNRESET')
      assert.ok(bytes.length < BULK.length)
    })

    it(`${road}: a reset of the service behind the end of the question is a reset`, async () => {
      const [client, service] = await open()
      client.socket.end('question')
      await service.finished
      service.socket.resetAndDestroy()
      const { end, code } = await client.closed
      assert.equal(`${end} ${code}`, 'RST ECONNRESET')
    })

    it(`${road}: a service that goes on answering a client that left behind its question is reset`, async () => {
      const [client, service] = await open()
      client.socket.end('question')
      await service.finished
      service.socket.write(BULK)
      await client.has(100_000)
      client.socket.resetAndDestroy()
      const { end, code } = await service.closed
      assert.match(`${end} ${code}`, /^RST (ECONNRESET|EPIPE)$/)
    })
  }
})
