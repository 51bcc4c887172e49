import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { join } from '../../agent/enrollment.ts'
import { renewOnce } from '../../agent/renewal.ts'
import { realEffects } from '../../shared/effects.ts'
import { createNetwork, type Network } from '../../shared/network/network.ts'
import { eventually, within } from '../support/deadline.ts'
import { identityOf, openBareTunnel } from '../support/raw-session.ts'
import { joinOptions, type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { startInspector, type TlsInspector } from '../support/tls-inspector.ts'

/** A network without a proxy on which the site accepted an inspector, or none. */
function networkWith(acceptInspector?: string): Network {
  const accepted = acceptInspector === undefined ? {} : { acceptInspector }
  return createNetwork(
    { way: { kind: 'direct' }, origin: 'default', systemCa: false, ...accepted },
    realEffects,
  )
}

/** `STATUS BODY` of a request to the relay itself. */
async function post(kit: RelayKit, path: string, body: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const ca = kit.relay.authority.authority.certificate.toString()
  request({ ...kit.relay.address, ca, path, method: 'POST' }, resolve)
    .on('error', reject)
    .end(body)
  const answer = await within(promise, 'the answer')
  return `${answer.statusCode} ${Buffer.concat(await answer.toArray()).toString()}`
}

describe('a TLS inspector between agent and relay', () => {
  let root: string
  let kit: RelayKit
  let inspector: TlsInspector
  let target: TcpTarget
  let text: string
  let directory: string
  let agent: TestAgent

  before(async () => {
    root = await mkdtemp(joinPath(tmpdir(), 'sallyport-inspector-'))
    kit = await startKit()
    const { certificate } = kit.relay.authority.authority
    inspector = await startInspector(root, kit.relay.address, certificate.toString())
    target = await echoTarget()
    text = await kit.joinString('berlin', { address: inspector.address })
    directory = joinPath(root, 'agent')
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await inspector[Symbol.asyncDispose]()
    await target.close()
    await rm(root, { recursive: true, force: true })
  })

  it('is named by who signed what it shows, and nothing goes on without a word of the site', async () => {
    await assert.rejects(join(text, directory, { ...joinOptions(), network: networkWith() }), {
      code: 'RELAY_IDENTITY',
      message: new RegExp(`signed by: .*Sallyport.*${inspector.fingerprint.replace(/[+/]/g, '.')}`),
      next: new RegExp(`--accept-inspector ${inspector.fingerprint.replace(/[+/]/g, '.')}`),
    })
    const other = networkWith(`SHA256:${'A'.repeat(43)}`)
    await assert.rejects(join(text, directory, { ...joinOptions(), network: other }), {
      code: 'RELAY_IDENTITY',
    })
  })

  it('lets an agent join that accepts it, and does not get to see the token', async () => {
    const network = networkWith(inspector.fingerprint)
    const { identity } = await join(text, directory, { ...joinOptions(), network })
    assert.equal(identity.site, 'berlin')
    const passed = Buffer.concat(inspector.seen.toRelay).toString('latin1')
    assert.match(passed, /POST \/v1\/sealed/)
    assert.doesNotMatch(passed, /"token"|\/v1\/enroll/)
  })

  it('carries a session whose agent the relay knows, and which says who stands in between', async () => {
    const network = networkWith(inspector.fingerprint)
    agent = await kit.startAgent({ directory, network, rules: { echo: target.port } })
    const [session] = agent.agent.status().sessions
    assert.match(session?.inspector ?? '', /Sallyport/)
    const port = await kit.publish('berlin/echo')
    const client = await dial(port)
    client.socket.end('through both')
    assert.equal(String((await client.closed).bytes), 'through both')
    // As it says: the inspector reads what passes.
    assert.ok(Buffer.concat(inspector.seen.toAgent).includes('through both'))
  })

  it('lets an agent renew, and nobody do so again with what it saw', async () => {
    const identity = await identityOf(directory)
    const options = {
      ...joinOptions(),
      directory,
      addresses: [inspector.address],
      network: networkWith(inspector.fingerprint),
    }
    inspector.seen.toRelay.length = 0
    const next = await renewOnce(identity as Parameters<typeof renewOnce>[0], options)
    assert.equal(next.generation, 2)
    const [, body = ''] =
      /POST \/v1\/sealed[\s\S]*?\r\n\r\n(\{.*?\})/.exec(Buffer.concat(inspector.seen.toRelay).toString()) ??
      []
    // The refusal is in the box, which only who asked can open.
    assert.match(await post(kit, '/v1/sealed', body), /^200 \{"box":/)
    const listed = await kit.relay.authority.store.findAgent('default', next.agentId)
    assert.equal(listed?.generation, 2)
  })

  it('is no way for a connector', async () => {
    const credentials = await kit.credentials('dev', 'berlin/echo')
    const network = networkWith(inspector.fingerprint)
    const identity = { ...credentials, network }
    await assert.rejects(openBareTunnel({ path: '/v1/connector', address: inspector.address, identity }), {
      code: 'RELAY_IDENTITY',
    })
  })

  it('does not bring back an agent that was revoked', async () => {
    const identity = await identityOf(directory)
    await kit.command('agent.revoke', { agent: agent.agent.status().agentId })
    await eventually(() => !agent.agent.status().connected, 'the agent lost its session')
    const tunnel = openBareTunnel({
      path: '/v1/agent',
      address: inspector.address,
      identity: { ...identity, network: networkWith(inspector.fingerprint) },
    })
    await assert.rejects(tunnel, { code: 'REVOKED' })
  })
})
