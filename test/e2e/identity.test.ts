import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { join } from '../../agent/enrollment.ts'
import type { TunnelError } from '../../shared/errors.ts'
import { formatJoinString, parseJoinString } from '../../shared/identity/join-string.ts'
import { dialRelay } from '../../shared/tunnel/dial-relay.ts'
import { SUBPROTOCOL } from '../../shared/version.ts'
import { jumpingEffects } from '../support/clocks.ts'
import { eventually, within } from '../support/deadline.ts'
import { identityOf } from '../support/raw-session.ts'
import { joinOptions, type RelayKit, startKit } from '../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** How soon a revocation must show, in ms. */
const REVOKED_MS = 5_000

describe('who may join and who may come in', () => {
  const effects = jumpingEffects()
  let kit: RelayKit
  let directory: string

  before(async () => {
    kit = await startKit({ effects })
    directory = await mkdtemp(joinPath(tmpdir(), 'sallyport-join-'))
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  })

  const joinAs = (text: string, name: string) => join(text, joinPath(directory, name), joinOptions(effects))

  const refusal = async (path: '/v1/agent' | '/v1/connector', identity: Parameters<typeof dialRelay>[2]) => {
    const dialled = dialRelay(kit.relay.address, path, identity, AbortSignal.timeout(10_000))
    return dialled.then(
      (socket) => {
        socket.destroy()
        return 'let in'
      },
      (error: TunnelError) => error.code,
    )
  }

  it('a join token works once', async () => {
    const text = await kit.joinString()
    const { identity } = await joinAs(text, 'first')
    assert.equal(identity.site, 'berlin')
    await assert.rejects(joinAs(text, 'second'), { code: 'JOIN_TOKEN' })
  })

  it('of two who bring the same token at once one is let in', async () => {
    const text = await kit.joinString()
    const both = await Promise.allSettled([joinAs(text, 'left'), joinAs(text, 'right')])
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const refused = both.find((one) => one.status === 'rejected')
    assert.equal((refused?.reason as TunnelError | undefined)?.code, 'JOIN_TOKEN')
  })

  it('a join token that is too old is refused', async () => {
    const text = await kit.joinString('berlin', { lifetimeMs: 60_000 })
    effects.jump(61_000)
    await assert.rejects(joinAs(text, 'late'), { code: 'JOIN_TOKEN' })
  })

  it('S17: a relay with another CA than the one pinned is not told the token', async () => {
    const text = await kit.joinString()
    const wrong = formatJoinString({ ...parseJoinString(text), caPin: randomBytes(32) }).reveal()
    await assert.rejects(joinAs(wrong, 'pinned'), { code: 'RELAY_IDENTITY' })
    await joinAs(text, 'pinned')
  })

  it('an agent is no connector, and a connector no agent', async () => {
    const agent = await identityOf(await kit.joinedDirectory())
    const connector = await kit.credentials('two-faced', 'berlin/db')
    assert.equal(await refusal('/v1/connector', agent), 'IDENTITY')
    assert.equal(await refusal('/v1/agent', connector), 'IDENTITY')
    assert.equal(await refusal('/v1/agent', agent), 'let in')
    assert.equal(await refusal('/v1/connector', connector), 'let in')
  })

  it("a certificate of another relay's CA is worth nothing here, whatever it says", async () => {
    await using other = await startKit()
    const stranger = await other.credentials('dev', 'berlin/db')
    const { ca, serverName } = await kit.credentials('local', 'berlin/db')
    assert.equal(await refusal('/v1/connector', { ...stranger, ca, serverName }), 'IDENTITY')
  })

  it('without a certificate no tunnel begins and nothing is renewed', async () => {
    const { ca } = await kit.credentials('for-its-ca', 'berlin/db')
    const ask = async (path: string, method: string, headers: Record<string, string>) => {
      const request = https.request({
        host: '127.0.0.1',
        port: kit.port,
        ca,
        path,
        method,
        headers,
        agent: false,
      })
      request.end(method === 'POST' ? '{}' : undefined)
      const [response] = await within(once(request, 'response'), `an answer on ${path}`)
      const chunks: Buffer[] = await response.toArray()
      return `${response.statusCode} ${JSON.parse(Buffer.concat(chunks).toString()).code}`
    }
    const upgrade = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': randomBytes(16).toString('base64'),
      'sec-websocket-protocol': SUBPROTOCOL,
    }
    assert.equal(await ask('/v1/agent', 'GET', upgrade), '401 IDENTITY')
    assert.equal(await ask('/v1/connector', 'GET', upgrade), '401 IDENTITY')
    assert.equal(await ask('/v1/renew', 'POST', { 'content-type': 'application/json' }), '401 IDENTITY')
  })

  it('S15: only TLS 1.3 is spoken, and no session can be resumed', async () => {
    const { ca, certificate, key } = await kit.credentials('tls', 'berlin/db')
    const options = { host: '127.0.0.1', port: kit.port, ca, cert: certificate, key: key.reveal() }
    const old = tls.connect({ ...options, maxVersion: 'TLSv1.2' })
    await assert.rejects(within(once(old, 'secureConnect'), 'TLS 1.2'), /alert|protocol/)
    const visit = async (session?: Buffer) => {
      const sessions: Buffer[] = []
      const socket = tls.connect({ ...options, minVersion: 'TLSv1.3', ...(session && { session }) })
      socket.on('session', (ticket) => sessions.push(ticket))
      await within(once(socket, 'secureConnect'), 'TLS 1.3')
      const isReused = socket.isSessionReused()
      socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n')
      const chunks: Buffer[] = await socket.toArray()
      assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1\.1 200 /)
      return { sessions, isReused }
    }
    // OpenSSL says NewSessionTicket all the same (node cannot set their number); what counts is that none is honoured.
    const { sessions } = await visit()
    for (const offered of sessions) assert.equal((await visit(offered)).isReused, false)
  })
})

describe('a revoked identity', () => {
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

  it('of an agent loses session and streams at once, and is refused from then on', async () => {
    const agent = await kit.startAgent({ site: 'rome', sessions: 1, rules: { echo: target.port } })
    const connector = await kit.connect(await kit.credentials('to-rome', 'rome/echo'))
    const client = await dial(await kit.publish('rome/echo'))
    client.socket.write('x')
    await client.has(1)
    const duplex = connector.connect('rome/echo')
    await within(once(duplex, 'connect'), 'a stream')
    const ended = within(once(duplex, 'error'), 'the end of the stream', REVOKED_MS)
    assert.deepEqual(await kit.command('agent.revoke', { agent: 'rome' }), { revoked: 1, closed: 1 })
    const [error] = await ended
    assert.equal((error as TunnelError).code, 'REVOKED')
    assert.equal((await client.closed).end, 'RST')
    await eventually(() => !agent.agent.status().connected, 'the end of the session', REVOKED_MS)
    await agent.log.until('not connected', { code: 'REVOKED' })
    assert.equal(agent.agent.status().lastError?.code, 'REVOKED')
    assert.equal(agent.agent.status().streams, 0)
  })

  it('of a connector loses session and streams at once, and is refused from then on', async () => {
    const agent = await kit.startAgent({ site: 'oslo', rules: { echo: target.port } })
    const credentials = await kit.credentials('gone', 'oslo/echo')
    const downs: string[] = []
    const refused = Promise.withResolvers<void>()
    const connector = await kit.connect(credentials, {
      onDown: ({ code }) => {
        downs.push(code)
        if (code === 'REVOKED') refused.resolve()
      },
    })
    const bystander = await kit.connect(await kit.credentials('stays', 'oslo/echo'))
    const [doomed, kept] = [connector.connect('oslo/echo'), bystander.connect('oslo/echo')]
    await within(Promise.all([once(doomed, 'connect'), once(kept, 'connect')]), 'two streams')
    const ended = within(once(doomed, 'error'), 'the end of the stream', REVOKED_MS)
    await kit.command('connector.revoke', { connector: 'gone' })
    assert.equal(((await ended)[0] as TunnelError).code, 'REVOKED')
    await within(refused.promise, 'the refusal')
    await eventually(() => agent.agent.status().streams === 1, "the target of the other's stream alone")
    assert.equal(kept.destroyed, false)
    kept.write('still here')
    assert.equal(String((await within(once(kept, 'data'), 'an echo'))[0]), 'still here')
    kept.destroy()
  })
})
