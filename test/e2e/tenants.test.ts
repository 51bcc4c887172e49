import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { join } from '../../agent/enrollment.ts'
import { issueClientCertificate } from '../../relay/authority/client-certificate.ts'
import { identify } from '../../relay/authority/identify.ts'
import type { TunnelError } from '../../shared/errors.ts'
import {
  type ConnectorCredentials,
  parseCredentials,
  requireCertificate,
} from '../../shared/identity/credentials.ts'
import { exportKey, generateKey } from '../../shared/identity/keys.ts'
import { Secret } from '../../shared/secret.ts'
import { dialRelay } from '../../shared/tunnel/dial-relay.ts'
import { eventually, within } from '../support/deadline.ts'
import { joinOptions, type RelayKit, startKit } from '../support/relay-kit.ts'
import { dial, echoTarget, listenTarget, type TcpTarget } from '../support/tcp-kit.ts'

interface Place {
  readonly tenant: string
  readonly environment: string
}

const HERE: Place = { tenant: 'here', environment: 'production' }
const THERE: Place = { tenant: 'there', environment: 'production' }
const TEST: Place = { tenant: 'here', environment: 'test' }

describe('tenants and environments on one relay', () => {
  let kit: RelayKit
  let root: string
  let target: TcpTarget
  let shouting: TcpTarget

  before(async () => {
    kit = await startKit()
    root = await mkdtemp(joinPath(tmpdir(), 'sallyport-tenants-'))
    target = await echoTarget()
    shouting = await listenTarget((socket) => socket.end('there'))
    for (const name of ['here', 'there']) await kit.command('tenant.add', { tenant: name })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await Promise.all([target.close(), shouting.close()])
    await rm(root, { recursive: true, force: true })
  })

  const agentAt = async (place: Place, port: number) => {
    const directory = joinPath(root, `${place.tenant}-${place.environment}`)
    const { text } = (await kit.command('agent.invite', { ...place, site: 'hq' })) as { text: string }
    await join(text, directory, joinOptions())
    return kit.startAgent({ directory, rules: { echo: port } })
  }

  const credentialsOf = async (place: Place, name: string): Promise<ConnectorCredentials> => {
    const answer = await kit.command('connector.add', { ...place, connector: name, resources: ['hq/echo'] })
    return requireCertificate(parseCredentials((answer as { credentials: string }).credentials))
  }

  const answerFor = async (credentials: ConnectorCredentials): Promise<string> => {
    const connector = await kit.connect(credentials)
    const duplex = connector.connect('hq/echo')
    duplex.end('here')
    const chunks = await within(
      duplex.toArray().catch((error: TunnelError) => [error.code]),
      'an answer',
    )
    return chunks.map(String).join('')
  }

  it('the same names lead each tenant to its own site, and an environment to none of another', async () => {
    await agentAt(HERE, target.port)
    await agentAt(THERE, shouting.port)
    assert.equal(await answerFor(await credentialsOf(HERE, 'app')), 'here')
    assert.equal(await answerFor(await credentialsOf(THERE, 'app')), 'there')
    // The connector is granted hq/echo: of its own environment, where there is no such site.
    assert.equal(await answerFor(await credentialsOf(TEST, 'app')), 'AGENT_OFFLINE')
  })

  it('a grant in one environment opens nothing in another, also when the site is there', async () => {
    await agentAt(TEST, shouting.port)
    assert.equal(await answerFor(await credentialsOf(TEST, 'second')), 'there')
    assert.equal(await answerFor(await credentialsOf(HERE, 'second')), 'here')
  })

  it('commands about one tenant neither show nor end what is of another', async () => {
    const list = (await kit.command('connector.list', { tenant: 'there' })) as {
      items: { name: string }[]
    }
    assert.deepEqual(
      list.items.map(({ name }) => name),
      ['app'],
    )
    const status = (await kit.command('status.show', { tenant: 'there' })) as { sessions: { name: string }[] }
    assert.deepEqual([...new Set(status.sessions.map(({ name }) => name))].sort(), ['app', 'hq'])
    await assert.rejects(kit.command('connector.revoke', { ...THERE, connector: 'second' }), {
      code: 'NOT_FOUND',
    })
    await assert.rejects(kit.command('site.list', { tenant: 'nowhere' }), { code: 'NOT_FOUND' })
  })

  it("S12: a certificate of this relay's CA that names another tenant is refused like a made-up id, and audited", async () => {
    const { authority } = kit.relay
    const { store, effects } = authority
    const [agent] = await store.listAgents('here', { environment: 'production' })
    assert.ok(agent)
    const key = await generateKey()
    const refusalOf = async (tenantId: string, id: string) => {
      const subject = { kind: 'agent', tenantId, id } as const
      const issued = await issueClientCertificate(
        authority.authority,
        createPublicKey(key),
        subject,
        600_000,
        effects,
      )
      const certificate = new X509Certificate(issued.pem)
      const refused = await identify(authority, certificate, true).catch((error: TunnelError) => error)
      const { code, detail } = refused as TunnelError
      const { ca, serverName } = await credentialsOf(HERE, `for-ca-${tenantId}-${id.slice(0, 3)}`)
      const identity = { ca, serverName, certificate: issued.pem, key: new Secret(exportKey(key)) }
      const dialled = dialRelay(kit.relay.address, '/v1/agent', identity, AbortSignal.timeout(10_000))
      const answer = await dialled.then(
        (socket) => {
          socket.destroy()
          return 'let in'
        },
        (error: TunnelError) => `${error.code} ${error.detail}`,
      )
      return `${code} ${detail} / ${answer}`
    }
    const asOther = await refusalOf('there', agent.id)
    assert.match(asOther, /^IDENTITY /)
    assert.equal(asOther, await refusalOf('there', 'a'.repeat(26)))
    assert.equal(asOther, await refusalOf('nowhere', agent.id))
    await kit.relay.trail.flush()
    const { records } = await store.readAudit('there', {
      order: 'newest',
      limit: 10,
      filter: { action: 'session.refuse' },
    })
    assert.equal(records.length, 2)
    assert.deepEqual(records.at(-1)?.actor, { kind: 'agent', id: agent.id })
    assert.equal(records.at(-1)?.outcome, 'IDENTITY')
  })

  it('sessions and streams stand in the chain of their own tenant', async () => {
    const connector = await kit.connect(await credentialsOf(HERE, 'audited'))
    const duplex = connector.connect('hq/echo')
    duplex.write('12345')
    await within(once(duplex, 'data'), 'an echo')
    duplex.end()
    await within(once(duplex, 'close'), 'the end')
    const denied = connector.connect('hq/other')
    await within(once(denied, 'error'), 'the refusal')
    await kit.relay.trail.flush()
    const { store } = kit.relay.authority
    const lines = async (tenant: string) => {
      const { records } = await store.readAudit(tenant, { order: 'newest', limit: 20 })
      return records.map(({ action, object, outcome, detail }) => `${action} ${object} ${outcome} ${detail}`)
    }
    const own = (await lines('here')).join('\n')
    assert.match(own, /session\.open audited OK /)
    assert.match(own, /stream\.close hq\/echo OK sent 5, received 5, \d+ ms/)
    assert.match(own, /stream\.refuse hq\/other DENIED_BY_RELAY/)
    assert.doesNotMatch((await lines('there')).join('\n'), /audited|hq\/other/)
  })

  it('a tenant that is closed loses sessions, streams and listeners at once, and is unknown from then on', async () => {
    const place = { tenant: 'gone', environment: 'production' }
    await kit.command('tenant.add', { tenant: 'gone' })
    const agent = await agentAt(place, target.port)
    const connector = await kit.connect(await credentialsOf(place, 'app'))
    const bystander = (await kit.connect(await credentialsOf(HERE, 'bystander'))).connect('hq/echo')
    const doomed = connector.connect('hq/echo')
    await within(Promise.all([once(doomed, 'connect'), once(bystander, 'connect')]), 'two streams')
    const published = { ...place, resource: 'hq/echo', kind: 'tcp', address: '127.0.0.1:0' }
    const { address } = (await kit.command('publication.add', published)) as { address: string }
    const port = Number(address.split(':')[1])
    const visitor = await dial(port)
    visitor.socket.write('x')
    await visitor.has(1)
    const token = await kit.command('agent.invite', { ...place, site: 'late' })
    const ended = within(once(doomed, 'error'), 'the end of the stream', 5_000)
    await kit.command('tenant.close', { tenant: 'gone' })
    assert.equal(((await ended)[0] as TunnelError).code, 'REVOKED')
    assert.equal((await within(visitor.closed, 'the end of the visit', 5_000)).end, 'RST')
    await assert.rejects(dial(port))
    await agent.log.until('not connected', { code: 'IDENTITY' })
    const late = join((token as { text: string }).text, joinPath(root, 'late'), joinOptions())
    await assert.rejects(late, { code: 'JOIN_TOKEN' })
    const { proof } = (await kit.command('tenant.remove', { tenant: 'gone' })) as {
      proof: { tenant: string; removed: Record<string, number> }
    }
    assert.deepEqual([proof.tenant, proof.removed.agents, proof.removed.connectors], ['gone', 1, 1])
    await assert.rejects(kit.command('site.list', { tenant: 'gone' }), { code: 'NOT_FOUND' })
    bystander.write('still here')
    assert.equal(String((await within(once(bystander, 'data'), 'an echo'))[0]), 'still here')
    bystander.destroy()
  })

  it('a tenant that was closed and not removed works again', async () => {
    const place = { tenant: 'kept', environment: 'production' }
    await kit.command('tenant.add', { tenant: 'kept' })
    const agent = await agentAt(place, target.port)
    await kit.command('tenant.close', { tenant: 'kept' })
    await eventually(() => !agent.agent.status().connected, 'the agent lost its sessions')
    await assert.rejects(kit.command('tenant.remove', { tenant: 'here' }), { code: 'CONFLICT' })
    await kit.command('tenant.open', { tenant: 'kept' })
    await agent.connected()
    assert.equal(await answerFor(await credentialsOf(place, 'app')), 'here')
  })
})
