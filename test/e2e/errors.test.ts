import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { after, before, describe, it } from 'node:test'
import type { Resolver } from '../../agent/dial/resolve.ts'
import type { Connector } from '../../connector/index.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { within } from '../support/deadline.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'

const nameless: Resolver = {
  resolve: async (host) => {
    throw new TunnelError('DNS', `${host}: ENOTFOUND`)
  },
  forget() {},
}

/** What the SDK's caller sees of a stream that does not come about. */
async function failure(connector: Connector, resource: string): Promise<TunnelError> {
  const duplex = connector.connect(resource)
  duplex.on('connect', () => assert.fail('it was opened'))
  const [error] = await within(once(duplex, 'error'), `the failure of ${resource}`)
  assert.ok(isTunnelError(error), String(error))
  assert.ok(duplex.destroyed)
  return error
}

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

describe('each way of failing has its own code, and says no more than it may', () => {
  let kit: RelayKit
  let target: TcpTarget
  let connector: Connector
  let dead: number

  before(async () => {
    kit = await startKit()
    target = await echoTarget()
    dead = await deadPort()
    const lines = (host: string, port: number, ...more: string[]) =>
      [`protocol = "tcp"`, `host = "${host}"`, `port = ${port}`, ...more].join('\n')
    await kit.startAgent({
      resolver: nameless,
      rules: {
        echo: target.port,
        hidden: target.port,
        closed: dead,
        'closed-detail': lines('127.0.0.1', dead, 'allow_loopback = true', 'detail = true'),
        nameless: lines('db.corp.test', 5432),
        'nameless-detail': lines('db.corp.test', 5432, 'detail = true'),
        inside: lines('127.0.0.1', target.port),
        'inside-detail': lines('127.0.0.1', target.port, 'detail = true'),
        few: lines('127.0.0.1', target.port, 'allow_loopback = true', 'max_streams = 1'),
      },
    })
    const granted = [
      'echo',
      'closed',
      'closed-detail',
      'nameless',
      'nameless-detail',
      'inside',
      'inside-detail',
    ]
    const names = [...granted, 'few', 'no-rule'].map((name) => `berlin/${name}`)
    connector = await kit.connect(await kit.credentials('dev', ...names, 'munich/echo'))
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  it('what was not granted and what does not exist look the same', async () => {
    const [hidden, ...others] = await Promise.all(
      ['berlin/hidden', 'berlin/nothing', 'nowhere/nothing'].map((name) => failure(connector, name)),
    )
    assert.equal(hidden?.code, 'DENIED_BY_RELAY')
    for (const other of others) {
      assert.deepEqual({ ...other, message: other.message }, { ...hidden, message: hidden?.message })
    }
    assert.equal(hidden?.detail, '')
  })

  const CODES = {
    closed: 'CONNECTION_REFUSED',
    nameless: 'DNS',
    inside: 'DENIED_BY_SITE',
    'no-rule': 'DENIED_BY_SITE',
  } as const

  for (const [resource, code] of Object.entries(CODES)) {
    it(`a stream to "${resource}" fails with ${code}, and without a word of the site`, async () => {
      const error = await failure(connector, `berlin/${resource}`)
      assert.equal(error.code, code)
      assert.equal(error.detail, '')
    })

    it(`a TCP listener resets who wants "${resource}"`, async () => {
      const client = await dial(await kit.publish(`berlin/${resource}`))
      const { end, code: errno, bytes } = await client.closed
      assert.equal(`${end} ${errno} ${bytes}`, 'RST ECONNRESET ')
    })
  }

  it('the cause crosses to the connector where the rule says so', async () => {
    const refused = await failure(connector, 'berlin/closed-detail')
    assert.equal(`${refused.code} ${refused.detail}`, `CONNECTION_REFUSED 127.0.0.1:${dead}: ECONNREFUSED`)
    const unnamed = await failure(connector, 'berlin/nameless-detail')
    assert.equal(`${unnamed.code} ${unnamed.detail}`, 'DNS db.corp.test: ENOTFOUND')
    const denied = await failure(connector, 'berlin/inside-detail')
    assert.equal(denied.code, 'DENIED_BY_SITE')
    assert.match(denied.detail, /127\.0\.0\.1.*allow_loopback/)
  })

  it('a site without an agent is offline, for a connector and at a listener', async () => {
    assert.equal((await failure(connector, 'munich/echo')).code, 'AGENT_OFFLINE')
    const client = await dial(await kit.publish('munich/echo'))
    assert.equal((await client.closed).end, 'RST')
  })

  it('more streams than the rule allows are refused before anything is dialled', async () => {
    const first = connector.connect('berlin/few')
    await within(once(first, 'connect'), 'the first stream')
    const accepted = target.accepted
    const error = await failure(connector, 'berlin/few')
    assert.equal(error.code, 'OVERLOADED')
    assert.equal(target.accepted, accepted)
    first.destroy()
  })

  it('a connector that gives up names itself as the cause, and the target is let go', async () => {
    const duplex = connector.connect('berlin/echo')
    await within(once(duplex, 'connect'), 'the stream')
    const cancel = new AbortController()
    duplex.destroyOn(cancel.signal)
    cancel.abort()
    const [error] = await within(once(duplex, 'error'), 'the end of the stream')
    assert.equal((error as TunnelError).code, 'CANCELLED')
    await kit.log.until('stream closed', { code: 'CANCELLED' })
  })

  it('a name that is no resource is refused before anything is sent', async () => {
    assert.equal((await failure(connector, 'Berlin/echo')).code, 'CONFIG')
  })
})
