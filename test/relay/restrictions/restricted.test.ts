import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Connector } from '../../../connector/connection.ts'
import type { TunnelError } from '../../../shared/errors.ts'
import { eventually, within } from '../../support/deadline.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../../support/tcp-kit.ts'

describe('what is restricted to other addresses', () => {
  let kit: RelayKit
  let target: TcpTarget
  let connector: Connector

  before(async () => {
    kit = await startKit()
    target = await echoTarget()
    await kit.startAgent({ rules: { db: target.port } })
    connector = await kit.connect(await kit.credentials('app', 'berlin/db'))
    await kit.command('restriction.set', { restriction: 'far', ranges: ['192.0.2.0/24'] })
    await kit.command('restriction.set', { restriction: 'near', ranges: ['127.0.0.0/8', '::1'] })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  const outcome = (resource = 'berlin/db'): Promise<string> => {
    const duplex = connector.connect(resource)
    duplex.write('x')
    return within(
      new Promise<string>((resolve) => {
        duplex.once('error', (error: TunnelError) => resolve(error.code))
        duplex.once('data', () => {
          resolve('OK')
          duplex.destroy()
        })
      }),
      'an outcome',
    )
  }

  it('a resource: streams that run end within 5 s, new ones are refused, others are not concerned', async () => {
    const duplex = connector.connect('berlin/db')
    duplex.write('x')
    await within(new Promise((resolve) => duplex.once('data', resolve)), 'the echo')
    const ended = new Promise<string>((resolve) => {
      duplex.once('error', (error: TunnelError) => resolve(error.code))
    })
    const use = { restriction: 'far', kind: 'resource', target: 'berlin/db' }
    assert.deepEqual(await kit.command('restriction.attach', use), { sessions: 0, streams: 1 })
    assert.equal(await within(ended, 'the end', 5_000), 'RESTRICTED')
    assert.equal(await outcome(), 'RESTRICTED')
    // Of two restrictions both must hold.
    await kit.command('restriction.attach', { ...use, restriction: 'near' })
    assert.equal(await outcome(), 'RESTRICTED')
    await kit.command('restriction.detach', use)
    assert.equal(await outcome(), 'OK')
    await kit.command('restriction.set', { restriction: 'near', ranges: ['192.0.2.1'] })
    assert.equal(await outcome(), 'RESTRICTED')
    await kit.command('restriction.detach', { ...use, restriction: 'near' })
  })

  it('a publication: the visitor is refused, the connector is not', async () => {
    const port = await kit.publish('berlin/db')
    const use = { restriction: 'far', kind: 'publication', target: `127.0.0.1:${port}` }
    await kit.command('restriction.attach', use)
    await within((await dial(port)).closed, 'the refusal')
    assert.equal(await outcome(), 'OK')
    await kit.command('restriction.detach', use)
    const visitor = await dial(port)
    visitor.socket.write('x')
    await within(visitor.has(1), 'the echo')
    visitor.socket.destroy()
  })

  it('a restriction that is attached is not removed, and one that restricts nothing is not made', async () => {
    const use = { restriction: 'far', kind: 'logins' }
    await kit.command('restriction.attach', use)
    await assert.rejects(kit.command('restriction.remove', { restriction: 'far' }), { code: 'CONFLICT' })
    await assert.rejects(kit.command('restriction.set', { restriction: 'none' }), { code: 'USAGE' })
    await assert.rejects(kit.command('restriction.attach', { ...use, restriction: 'none' }), {
      code: 'NOT_FOUND',
    })
    const here = { address: '127.0.0.1' }
    assert.throws(() => kit.relay.enforcement.checkLogin('default', undefined, here), { code: 'RESTRICTED' })
    kit.relay.enforcement.checkLogin('default', 'ann', { address: '192.0.2.9' })
    await kit.command('restriction.detach', use)
    kit.relay.enforcement.checkLogin('default', undefined, here)
  })

  it('a connector: its session ends and it comes in no more until it may', async () => {
    const use = { restriction: 'far', kind: 'connector', target: 'app' }
    assert.deepEqual(await kit.command('restriction.attach', use), { sessions: 1, streams: 0 })
    const isIn = () => kit.relay.sessions.list().some(({ principal }) => principal.kind === 'connector')
    await eventually(() => !isIn(), 'the session is gone')
    const credentials = await kit.credentials('other', 'berlin/db')
    await kit.command('restriction.attach', { ...use, target: 'other' })
    await assert.rejects(kit.connect(credentials), { code: 'RESTRICTED' })
    await kit.command('restriction.detach', { ...use, target: 'other' })
    await kit.connect(credentials)
  })
})
