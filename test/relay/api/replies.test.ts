import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { REPLIES_PER_CALLER, REPLY_LIFE_MS } from '../../../relay/api/replies.ts'
import { type ApiKit, startApiKit } from '../../support/api-kit.ts'

const CONNECTORS = '/tenants/default/environments/test/connectors'

let api: ApiKit
let owner: string

before(async () => {
  api = await startApiKit()
  owner = api.callers.withRole('owner')
})

after(() => api[Symbol.asyncDispose]())

function add(connector: string, key: string, token = owner) {
  const body = { connector, resources: ['berlin/db'] }
  return api.ask('POST', CONNECTORS, { token, body, headers: { 'idempotency-key': key } })
}

describe('a request with an idempotency key', () => {
  it('is done once, and gets the same answer again, credentials and all', async () => {
    const key = randomUUID()
    const [first, again] = [await add('once', key), await add('once', key)]
    assert.deepEqual([first.status, again.status, again.text], [200, 200, first.text])
    assert.match(first.text, /credentials/)
    const without = await api.ask('POST', CONNECTORS, {
      token: owner,
      body: { connector: 'once', resources: ['berlin/db'] },
    })
    assert.equal(without.body.code, 'CONFLICT')
  })

  it('is done once where two come at the same time', async () => {
    const key = randomUUID()
    const answers = await Promise.all([add('both', key), add('both', key)])
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409])
    assert.equal((await add('both', key)).status, 200)
  })

  it('is refused where the key was for another', async () => {
    const key = randomUUID()
    await add('first', key)
    assert.deepEqual(
      [(await add('second', key)).body.code, (await add('second', key)).status],
      ['IDEMPOTENCY', 422],
    )
    const answer = await api.ask('POST', CONNECTORS.replace('test', 'development'), {
      ...{ token: owner, headers: { 'idempotency-key': key } },
      body: { connector: 'first', resources: ['berlin/db'] },
    })
    assert.equal(answer.body.code, 'IDEMPOTENCY')
  })

  it('of another caller is another request', async () => {
    const key = randomUUID()
    const other = api.callers.withRole('administrator')
    assert.equal((await add('mine', key)).status, 200)
    assert.equal((await add('his', key, other)).status, 200)
  })

  it('that was refused may be sent again', async () => {
    const key = randomUUID()
    const weak = api.callers.withRole('developer')
    assert.equal((await add('later', key, weak)).status, 403)
    api.callers.add(weak, [{ tenantId: 'default', role: 'owner' }])
    assert.equal((await add('later', key, weak)).status, 200)
  })

  it('gives nothing again to who may no longer ask for it', async () => {
    const key = randomUUID()
    const token = api.callers.add('fallen', [{ tenantId: 'default', role: 'owner' }])
    assert.equal((await add('fallen', key, token)).status, 200)
    api.callers.add(token, [{ tenantId: 'default', role: 'auditor' }])
    const again = await add('fallen', key, token)
    assert.deepEqual([again.status, again.body.code], [403, 'FORBIDDEN'])
  })

  it('has a key of some printable characters', async () => {
    for (const key of ['', 'a b', 'x'.repeat(129), 'é']) {
      const answer = await add('wrong', key)
      assert.deepEqual([answer.status, answer.body.field], [400, 'Idempotency-Key'], key)
    }
  })
})

describe('what is kept for idempotency', () => {
  const hash = new Uint8Array(32)

  it('is forgotten after a day', async () => {
    const { store } = api.kit.relay.authority
    const key = { id: 'old', caller: 'person:old', requestHash: hash }
    assert.deepEqual(await store.beginReply('default', key, 1_000), { kind: 'new' })
    await store.keepReply('default', 'old', '{}')
    const known = await store.beginReply('default', key, 1_000 + REPLY_LIFE_MS - 1)
    assert.equal(known.kind, 'done')
    assert.deepEqual(await store.beginReply('default', key, 1_000 + REPLY_LIFE_MS), { kind: 'new' })
  })

  it('is sealed, and opens under a new key of the tenant, too', async () => {
    const { store } = api.kit.relay.authority
    const key = { id: 'sealed', caller: 'person:ann', requestHash: hash }
    const now = Date.now()
    await store.beginReply('default', key, now)
    await store.keepReply('default', 'sealed', '{"credentials":"secret"}')
    await api.kit.command('key.rotate', { tenant: 'default' })
    const known = await store.beginReply('default', key, now)
    assert.equal(known.kind === 'done' ? known.body.reveal() : known.kind, '{"credentials":"secret"}')
  })

  it('is bounded for each caller', async () => {
    const { store } = api.kit.relay.authority
    const begin = (at: number) =>
      store.beginReply('default', { id: `n${at}`, caller: 'person:greedy', requestHash: hash }, 5)
    for (let at = 0; at < REPLIES_PER_CALLER; at++) await begin(at)
    await assert.rejects(begin(REPLIES_PER_CALLER), { code: 'ENHANCE_CALM' })
  })
})
