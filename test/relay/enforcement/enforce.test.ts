import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Connector } from '../../../connector/connection.ts'
import { realEffects } from '../../../shared/effects.ts'
import type { TunnelError } from '../../../shared/errors.ts'
import { within } from '../../support/deadline.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../../support/tcp-kit.ts'

/** A clock that can be put forward, for everything but timers. */
let ahead = 0
const effects = { ...realEffects, date: () => realEffects.date() + ahead }

describe('what is no longer allowed ends while it runs', () => {
  let kit: RelayKit
  let target: TcpTarget
  let connector: Connector

  before(async () => {
    kit = await startKit({ effects })
    target = await echoTarget()
    await kit.startAgent({ rules: { db: target.port, web: target.port } })
    connector = await kit.connect(await kit.credentials('app', 'berlin/db', 'berlin/web'))
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  /** A stream over which bytes went, and the code with which it ends. */
  const live = async (resource: string) => {
    const duplex = connector.connect(resource)
    const ended = new Promise<string>((resolve) => {
      duplex.on('error', (error: TunnelError) => resolve(error.code))
      duplex.on('close', () => resolve('OK'))
    })
    duplex.write('x')
    await within(new Promise((resolve) => duplex.once('data', resolve)), 'the echo')
    return { ended: () => within(ended, 'the end', 5_000), close: () => duplex.destroy() }
  }

  const refusal = async (resource: string): Promise<TunnelError> => {
    const duplex = connector.connect(resource)
    return within(new Promise<TunnelError>((resolve) => duplex.once('error', resolve)), 'a refusal')
  }

  for (const [kind, name] of [
    ['resource', 'berlin/db'],
    ['site', 'berlin'],
    ['connector', 'app'],
    ['tenant', ''],
  ] as const) {
    it(`freezing a ${kind} ends its streams within 5 s and refuses new ones until it is taken back`, async () => {
      const stream = await live('berlin/db')
      const ended = await kit.command('freeze.add', { kind, name, reason: 'an attack' })
      assert.deepEqual(ended, { streams: 1, sessions: 0 })
      assert.equal(await stream.ended(), 'FROZEN')
      assert.equal((await refusal('berlin/db')).code, 'FROZEN')
      await kit.command('freeze.remove', { kind, name })
      ;(await live('berlin/db')).close()
    })
  }

  it('a frozen resource leaves the others of its site alone, and a published one ends too', async () => {
    const [other, port] = [await live('berlin/web'), await kit.publish('berlin/db')]
    const visitor = await dial(port)
    visitor.socket.write('x')
    await within(visitor.has(1), 'the echo')
    const ended = await kit.command('freeze.add', { kind: 'resource', name: 'berlin/db' })
    assert.deepEqual(ended, { streams: 1, sessions: 0 })
    await within(visitor.closed, 'the end of the visitor', 5_000)
    await within((await dial(port)).closed, 'the refusal')
    await kit.command('freeze.remove', { kind: 'resource', name: 'berlin/db' })
    other.close()
  })

  it('what is not there cannot be frozen by mistake', async () => {
    for (const [kind, name] of [
      ['site', 'berlim'],
      ['resource', 'berlim/db'],
      ['connector', 'ap'],
    ] as const) {
      await assert.rejects(kit.command('freeze.add', { kind, name }), { code: 'NOT_FOUND' })
    }
    await assert.rejects(kit.command('freeze.remove', { kind: 'site', name: 'berlin' }), {
      code: 'NOT_FOUND',
    })
  })

  it('a grant that is removed ends its streams', async () => {
    const [stream, other] = [await live('berlin/db'), await live('berlin/web')]
    const grant = { connector: 'app', resource: 'berlin/db' }
    assert.deepEqual(await kit.command('grant.remove', grant), { streams: 1, sessions: 0 })
    assert.equal(await stream.ended(), 'DENIED_BY_RELAY')
    assert.equal((await refusal('berlin/db')).code, 'DENIED_BY_RELAY')
    await kit.command('grant.add', grant)
    other.close()
  })

  it('a grant that ends by itself ends its streams, and says so', async () => {
    const grant = { connector: 'app', resource: 'berlin/db' }
    await kit.command('grant.add', { ...grant, expiresAt: effects.date() + 3_600_000 })
    const stream = await live('berlin/db')
    ahead += 3_601_000
    assert.equal(await stream.ended(), 'EXPIRED')
    assert.equal((await refusal('berlin/db')).code, 'EXPIRED')
    const { items } = (await kit.command('grant.list', { connector: 'app' })) as { items: object[] }
    assert.equal(items.length, 2)
    assert.equal((items[0] as { state: string }).state, 'over')
    await kit.command('grant.add', grant)
  })

  it('hours that end, end their streams, and begin again by themselves', async () => {
    const now = new Date(effects.date())
    const hour = (offset: number) => `${String((now.getUTCHours() + offset + 24) % 24).padStart(2, '0')}:00`
    const end = hour(2) === '00:00' ? '24:00' : hour(2)
    const hours = `mon-sun ${hour(0)}-${end} UTC`
    await kit.command('grant.add', { connector: 'app', resource: 'berlin/db', hours })
    const stream = await live('berlin/db')
    ahead += 2 * 3_600_000
    assert.equal(await stream.ended(), 'DENIED_BY_RELAY')
    assert.match((await refusal('berlin/db')).message, /outside the hours/)
    ahead += 22 * 3_600_000
    ;(await live('berlin/db')).close()
    await kit.command('grant.add', { connector: 'app', resource: 'berlin/db' })
  })

  it('a freeze survives a restart of the relay, and the connector meets it at a new path', async () => {
    const stream = await live('berlin/db')
    await kit.relay.authority.store.addFreeze(
      'default',
      { kind: 'site', environment: 'production', name: 'berlin', reason: '', createdAt: 1 },
      { actor: { kind: 'operator', id: '' }, source: 'local', traceId: 'f'.repeat(32), at: 1 },
    )
    await kit.stopRelay()
    await kit.startAgain()
    assert.match(await stream.ended(), /FROZEN|SESSION_LOST/)
    assert.equal((await refusal('berlin/db')).code, 'FROZEN')
  })
})
