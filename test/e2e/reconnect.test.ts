import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import type { Connector, TunnelDuplex } from '../../connector/index.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { ClientTunnel } from '../../shared/tunnel/client-tunnel.ts'
import { fastEffects } from '../support/clocks.ts'
import { eventually, within } from '../support/deadline.ts'
import { identityOf, openBareTunnel } from '../support/raw-session.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { startSilentProxy } from '../support/silent-proxy.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** How soon a tunnel must be back after its relay is, in ms. */
const BACK_MS = 5_000

/** How fast the clock runs where minutes have to pass. */
const FACTOR = 10

async function open(connector: Connector, resource: string): Promise<TunnelDuplex> {
  const duplex = connector.connect(resource)
  await within(once(duplex, 'connect'), `a stream to ${resource}`)
  return duplex.on('error', () => undefined)
}

async function echoes(connector: Connector, words: string): Promise<void> {
  const duplex = await open(connector, 'berlin/echo')
  duplex.end(words)
  assert.equal(String(Buffer.concat(await duplex.toArray())), words)
}

async function codeOf(connector: Connector, resource: string): Promise<string> {
  const duplex = connector.connect(resource)
  const [error] = await within(once(duplex, 'error'), `the failure of ${resource}`)
  return (error as TunnelError).code
}

/** F27: as far as it goes with one relay: who is told to stop takes no new streams and lets the running ones end. */
describe('tunnels come back', () => {
  let kit: RelayKit
  let target: TcpTarget

  before(async () => {
    kit = await startKit()
    target = await echoTarget()
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  it("after a relay that was stopped and started again: a connector's stream goes on, a listener's is reset", async () => {
    const agent = await kit.startAgent({ rules: { echo: target.port } })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/echo'))
    const port = await kit.publish('berlin/echo')
    const client = await dial(port)
    client.socket.write('x')
    await client.has(1)
    const duplex = await open(connector, 'berlin/echo')
    await kit.stopRelay()
    assert.equal((await client.closed).end, 'RST')
    await eventually(() => !agent.agent.status().connected, 'the agent knows')
    duplex.write('written while there was no relay')

    const began = performance.now()
    await kit.startAgain()
    await within(agent.connected(), 'the agent is back', BACK_MS)
    const [echo] = await within(once(duplex, 'data'), 'the stream goes on', BACK_MS)
    assert.equal(String(echo), 'written while there was no relay')
    duplex.destroy()
    // The publication is open again on the same port.
    const again = await dial(port)
    again.socket.end('back')
    assert.equal(String((await again.closed).bytes), 'back')
    await echoes(connector, 'new')
    assert.ok(performance.now() - began < BACK_MS)
  })

  it('a stream whose relay does not come back ends by an error when its grace is over, not by an end', async () => {
    await using own = await startKit({ effects: fastEffects(FACTOR) })
    const agent = await own.startAgent({ rules: { echo: target.port } })
    const connector = await own.connect(await own.credentials('dev', 'berlin/echo'))
    const duplex = await open(connector, 'berlin/echo')
    const ended = once(duplex, 'error')
    await own.stopRelay()
    const [error] = await within(ended, 'the end of the stream')
    assert.equal((error as TunnelError).code, 'SESSION_LOST')
    assert.equal(duplex.readableEnded, false)
    await eventually(() => agent.agent.status().streams === 0, 'the end of its other end')
  })

  it('where a newer session of the same process comes in, the older one makes room', async () => {
    const directory = await kit.joinedDirectory('vienna')
    const options = {
      path: '/v1/agent',
      address: kit.relay.address,
      identity: await identityOf(directory),
      instance: randomBytes(16),
    } as const
    const older = await openBareTunnel(options)
    const newer = await openBareTunnel(options)
    assert.ok(newer.relay.generation > older.relay.generation)
    assert.equal((await within(older.goingAway, 'GOAWAY')).code, 'REPLACED')
    await within(older.closed, 'the end of the older session')
    const names = kit.relay.sessions.list().map(({ name }) => name)
    assert.ok(names.includes(newer.relay.session))
    assert.equal(names.includes(older.relay.session), false)
    newer.close(await older.closed)
  })

  it('two sessions of one process stand side by side where each is named; of many the newest four do', async () => {
    const identity = await identityOf(await kit.joinedDirectory('turin'))
    const options = {
      path: '/v1/agent',
      address: kit.relay.address,
      identity,
      instance: randomBytes(16),
    } as const
    const held: string[] = []
    const tunnels: ClientTunnel[] = []
    for (let count = 0; count < 5; count++) {
      const tunnel = await openBareTunnel({ ...options, held })
      held.push(tunnel.relay.session)
      tunnels.push(tunnel)
    }
    await within(tunnels[0]?.closed ?? Promise.reject(), 'the end of the oldest of five')
    const ofSite = () =>
      kit.relay.sessions.list().flatMap(({ principal, name }) => {
        return principal.kind === 'agent' && principal.site === 'turin' ? [name] : []
      })
    assert.deepEqual(ofSite(), held.slice(1))
    // A copy of the identity cannot keep what is not its own, whatever it names.
    const copy = await openBareTunnel({ ...options, held, instance: randomBytes(16) })
    await within(Promise.all(tunnels.map(({ closed }) => closed)), 'the end of the sessions before')
    assert.deepEqual(ofSite(), [copy.relay.session])
    copy.close(new TunnelError('CANCELLED'))
  })

  it('where another process has the same identity, the newer one serves and the older one stays away', async () => {
    const older = await kit.startAgent({ site: 'lyon', rules: { echo: target.port } })
    const newer = await kit.startAgent({ directory: older.directory, rules: { echo: target.port } })
    const line = await older.log.until('not connected', { code: 'REPLACED' })
    assert.ok(Number(line.retryMs) >= 30_000, `it comes back in ${line.retryMs} ms`)
    assert.equal(older.agent.status().connected, false)
    assert.equal(newer.agent.status().connected, true)
    const client = await dial(await kit.publish('lyon/echo'))
    client.socket.end('served')
    assert.equal(String((await client.closed).bytes), 'served')
  })

  it('an agent that is told to stop lets a running stream end, and takes no new one', async () => {
    const agent = await kit.startAgent({ site: 'porto', rules: { echo: target.port } })
    const connector = await kit.connect(await kit.credentials('to-porto', 'porto/echo'))
    const running = await open(connector, 'porto/echo')
    const stopped = agent.stop()
    await eventually(async () => {
      const session = kit.relay.sessions
        .list()
        .find((live) => live.principal.kind === 'agent' && !live.session.isOpen)
      return session !== undefined
    }, 'GOAWAY')
    assert.equal(await codeOf(connector, 'porto/echo'), 'AGENT_OFFLINE')
    running.end('the last words')
    assert.equal(String(Buffer.concat(await running.toArray())), 'the last words')
    await stopped
  })

  it('a relay that is told to stop lets a running stream end, and takes no new one', async () => {
    await using own = await startKit()
    await own.startAgent({ rules: { echo: target.port } })
    const connector = await own.connect(await own.credentials('dev', 'berlin/echo'))
    const port = await own.publish('berlin/echo')
    const running = await open(connector, 'berlin/echo')
    const client = await dial(port)
    client.socket.write('still ')
    await client.has(6)
    const stopped = own.stopRelay(8_000)
    const refusal = await within(
      (async () => {
        for (;;) {
          const duplex = connector.connect('berlin/echo')
          const outcome = once(duplex, 'error').then(([error]) => (error as TunnelError).code)
          const code = await Promise.race([outcome, once(duplex, 'connect').then(() => undefined)])
          duplex.on('error', () => undefined).destroy()
          if (code !== undefined) return code
        }
      })(),
      'a refusal',
    )
    assert.match(refusal, /^(DRAINING|REFUSED|RELAY_UNREACHABLE)$/)
    await assert.rejects(dial(port), { code: 'ECONNREFUSED' })
    client.socket.end('there')
    assert.equal(String((await client.closed).bytes), 'still there')
    running.end('the last words')
    assert.equal(String(Buffer.concat(await running.toArray())), 'the last words')
    await within(stopped, 'the end of the relay', 4_000)
  })
})

describe('a peer that went silent', () => {
  it('is given up by both sides within 45 seconds, and the agent comes in by another connection', async () => {
    const effects = fastEffects(FACTOR)
    await using kit = await startKit({ effects })
    await using target = await echoTarget()
    await using proxy = await startSilentProxy(kit.port)
    const agent = await kit.startAgent({
      address: { host: '127.0.0.1', port: proxy.port },
      rules: { echo: target.port },
    })
    const port = await kit.publish('berlin/echo')
    const client = await dial(port)
    client.socket.write('x')
    await client.has(1)
    const { session } = agent.agent.status()
    proxy.silence()
    const lost = await Promise.all([
      kit.log.until('session closed', { session, code: 'SESSION_LOST' }),
      agent.log.until('not connected', { code: 'SESSION_LOST' }),
    ])
    for (const { detail } of lost) {
      const [, silentMs] = /^no byte from the peer for (\d+) ms$/.exec(String(detail)) ?? []
      assert.ok(Number(silentMs) < 45_000, `${detail}`)
    }
    proxy.restore()
    await agent.connected()
    assert.notEqual(agent.agent.status().session, session)
    // The stream waited for it.
    client.socket.end('back')
    assert.equal(String((await client.closed).bytes), 'xback')
  })
})
