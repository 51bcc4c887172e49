import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import type { Connector, TunnelDuplex } from '../../connector/index.ts'
import type { TunnelError } from '../../shared/errors.ts'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { actAt } from '../support/acts.ts'
import { fastEffects } from '../support/clocks.ts'
import { eventually, within } from '../support/deadline.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { startSilentProxy } from '../support/silent-proxy.ts'
import { dial, echoTarget, listenTarget, type TcpEnd } from '../support/tcp-kit.ts'
import { startCuttingProxy, transfer, transferTarget } from './survival-kit.ts'

const MIB = 1024 * 1024

/** How fast the clock runs where a grace time has to pass. */
const FACTOR = 20

/** What needs no grace time to pass takes less, in ms of the real clock. */
const SOON_MS = 3_000

const at = (port: number) => ({ host: '127.0.0.1', port })
const by = (credentials: ConnectorCredentials, port: number) => ({ ...credentials, addresses: [at(port)] })

async function open(connector: Connector, resource = 'berlin/echo'): Promise<TunnelDuplex> {
  const duplex = connector.connect(resource)
  await within(once(duplex, 'connect'), `a stream to ${resource}`)
  return duplex.on('error', () => undefined)
}

async function echoes(duplex: TunnelDuplex, words: string): Promise<void> {
  const heard = once(duplex, 'data')
  duplex.write(words)
  assert.equal(String((await within(heard, 'the echo'))[0]), words)
}

async function endOf(duplex: TunnelDuplex, ms: number): Promise<string> {
  const [error] = await within(once(duplex, 'error'), 'the end of the stream', ms)
  return (error as TunnelError).code
}

/** Waits until the relay has no agent. */
const detached = (kit: RelayKit) =>
  eventually(
    () => !kit.relay.sessions.list().some(({ principal }) => principal.kind === 'agent'),
    'the relay knows that the agent is gone',
  )

describe("a cut of the agent's link", () => {
  it("is a pause for the relay's own listener and for its HTTP ingress, while much is on its way", async () => {
    await using kit = await startKit()
    await using target = await transferTarget()
    await using proxy = await startCuttingProxy(kit.port)
    const body = randomBytes(16 * MIB)
    const origin = http.createServer((_request, response) => response.end(body))
    origin.listen(0, '127.0.0.1')
    await once(origin, 'listening')
    const { port: originPort } = origin.address() as AddressInfo
    const agent = await kit.startAgent({
      address: at(proxy.port),
      rules: {
        bulk: target.port,
        web: `protocol = "http"\nhost = "127.0.0.1"\nport = ${originPort}\nallow_loopback = true`,
      },
    })
    await kit.command('publication.add', { resource: 'berlin/web', kind: 'host', address: 'app.test' })
    const { ca } = await kit.credentials('for-its-ca', 'berlin/web')
    const client = await dial(await kit.publish('berlin/bulk'))
    const request = https.get({ ...at(kit.port), servername: 'app.test', ca, headers: { host: 'app.test' } })
    const [response] = (await within(once(request, 'response'), 'the answer')) as [http.IncomingMessage]
    let length = 0
    let cuts = 0
    response.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length < (cuts + 1) * 5 * MIB || cuts >= 2) return
      cuts++
      proxy.cut()
    })
    const download = response.toArray()
    await transfer(client.socket, 8 * MIB, 8 * MIB)
    assert.ok(Buffer.concat(await within(download, 'the page', 30_000)).equals(body))
    assert.equal(cuts, 2)
    const resumed = agent.log.records.filter(({ msg }) => msg === 'stream resumed')
    assert.ok(resumed.length >= 2, `${resumed.length} resumed`)
    assert.equal(target.accepted, 1)
    origin.closeAllConnections()
    origin.close()
  })

  it('that nobody is told of is a pause as well, on either side of the relay', async () => {
    const effects = fastEffects(FACTOR)
    await using kit = await startKit({ effects })
    await using target = await echoTarget()
    await using toAgent = await startSilentProxy(kit.port)
    await using toConnector = await startSilentProxy(kit.port)
    const agent = await kit.startAgent({ address: at(toAgent.port), rules: { echo: target.port } })
    const connector = await kit.connect(by(await kit.credentials('dev', 'berlin/echo'), toConnector.port))
    const duplex = await open(connector)
    for (const proxy of [toAgent, toConnector]) {
      const from = agent.log.length
      proxy.silence()
      duplex.write('said into the void')
      const heard = once(duplex, 'data')
      proxy.restore()
      await within(agent.log.until('stream resumed', {}, from), 'the stream goes on')
      assert.equal(String((await within(heard, 'the echo'))[0]), 'said into the void')
    }
    assert.equal(target.accepted, 1)
    duplex.destroy()
  })

  it('ends a stream to a resource with `resume = false` at once, by a reset', async () => {
    await using kit = await startKit()
    await using target = await echoTarget()
    await using proxy = await startCuttingProxy(kit.port)
    const rule = `protocol = "tcp"\nhost = "127.0.0.1"\nport = ${target.port}\nallow_loopback = true\nresume = false`
    await kit.startAgent({ address: at(proxy.port), rules: { echo: rule } })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/echo'))
    const client = await dial(await kit.publish('berlin/echo'))
    client.socket.write('x')
    await client.has(1)
    const duplex = await open(connector)
    const ended = endOf(duplex, SOON_MS)
    proxy.cut()
    assert.equal(await ended, 'SESSION_LOST')
    assert.equal((await client.closed).end, 'RST')
  })
})

describe('a stream that looks for its path', () => {
  it('is refused by the relay where the grant is gone', async () => {
    await using kit = await startKit()
    await using target = await echoTarget()
    await using proxy = await startCuttingProxy(kit.port)
    await kit.startAgent({ rules: { echo: target.port } })
    const connector = await kit.connect(by(await kit.credentials('dev', 'berlin/echo'), proxy.port))
    const duplex = await open(connector)
    const ended = endOf(duplex, SOON_MS)
    proxy.close()
    const { store } = kit.relay.authority
    const { id = '' } = (await store.findConnectorByName('default', 'production', 'dev')) ?? {}
    await store.setGrants('default', id, [], actAt())
    proxy.open()
    assert.equal(await ended, 'DENIED_BY_RELAY')
  })

  it('is refused by the agent where the rule is gone, and its target hears so at once', async () => {
    await using kit = await startKit()
    await using target = await listenTarget()
    await using proxy = await startCuttingProxy(kit.port)
    const agent = await kit.startAgent({ address: at(proxy.port), rules: { echo: target.port } })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/echo'))
    const opening = open(connector)
    const served = await target.accept()
    const ended = endOf(await opening, SOON_MS)
    proxy.close()
    await detached(kit)
    await agent.writeRules({})
    assert.equal((await served.closed).end, 'RST')
    proxy.open()
    assert.equal(await ended, 'DENIED_BY_SITE')
  })

  it('ends within seconds where the agent was started anew: it knows the stream no more', async () => {
    await using kit = await startKit()
    await using target = await echoTarget()
    const agent = await kit.startAgent({ rules: { echo: target.port } })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/echo'))
    const client = await dial(await kit.publish('berlin/echo'))
    client.socket.write('x')
    await client.has(1)
    const ended = endOf(await open(connector), SOON_MS)
    // The same identity in another process takes its place, with none of its streams.
    await kit.startAgent({ directory: agent.directory, rules: { echo: target.port } })
    assert.equal(await ended, 'GONE')
    assert.equal((await client.closed).end, 'RST')
  })
})

describe('who ends', () => {
  /** A stream that the target has taken, and the target's end of it. */
  async function served(kit: RelayKit, connect: () => Promise<unknown>, proxyPort?: number) {
    const target = await listenTarget()
    const address = proxyPort === undefined ? {} : { address: at(proxyPort) }
    const agent = await kit.startAgent({ ...address, rules: { echo: target.port } })
    const opening = connect()
    const end: TcpEnd = await target.accept()
    await opening
    return { agent, target, end }
  }

  it('a connector that closes says so: the target hears a reset at once', async () => {
    await using kit = await startKit()
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/echo'))
    const { end, target } = await served(kit, () => open(connector))
    const began = performance.now()
    await connector.close()
    assert.equal((await end.closed).end, 'RST')
    assert.ok(performance.now() - began < SOON_MS)
    await target.close()
  })

  it('a relay that stops says so for its own streams: the target hears a reset at once', async () => {
    await using kit = await startKit()
    const port = await kit.publish('berlin/echo')
    const { end, target, agent } = await served(kit, () => dial(port))
    const began = performance.now()
    await kit.stopRelay()
    assert.equal((await end.closed).end, 'RST')
    assert.ok(performance.now() - began < SOON_MS)
    assert.equal(agent.agent.status().waiting, 0)
    await target.close()
  })

  it('an agent that stops tells those whose streams did not end in its time, and they do not wait', async () => {
    await using kit = await startKit()
    const effects = fastEffects(FACTOR)
    await using target = await echoTarget()
    const agent = await kit.startAgent({ effects, rules: { echo: target.port } })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/echo'))
    const duplex = await open(connector)
    const ended = endOf(duplex, SOON_MS)
    await echoes(duplex, 'still there')
    await agent.stop()
    assert.equal(await ended, 'SESSION_LOST')
  })

  it('a connector that is gone leaves its targets after the grace time, not before', async () => {
    await using kit = await startKit()
    await using proxy = await startCuttingProxy(kit.port)
    const effects = fastEffects(FACTOR)
    await using target = await listenTarget()
    const agent = await kit.startAgent({ effects, rules: { echo: target.port } })
    const connector = await kit.connect(by(await kit.credentials('dev', 'berlin/echo'), proxy.port))
    const opening = open(connector)
    const end = await target.accept()
    await opening
    const from = effects.now()
    proxy.close()
    await eventually(() => agent.agent.status().waiting === 1, 'the agent keeps the stream')
    assert.equal((await end.closed).end, 'RST')
    const waited = effects.now() - from
    assert.ok(waited > 29_000 && waited < 40_000, `${waited} ms`)
    await eventually(() => agent.agent.status().streams === 0, 'nothing is left')
  })
})
