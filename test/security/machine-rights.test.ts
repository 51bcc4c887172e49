import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type ApiKit, startApiKit } from '../support/api-kit.ts'

/** A secret of a machine that leaked must not make anything that outlives its revocation. */
describe('a machine with the widest role', () => {
  let api: ApiKit
  let token: string

  before(async () => {
    api = await startApiKit()
    const owner = { tenantId: 'default', role: 'owner', viaApi: true } as const
    token = api.callers.add('machine', [owner], { kind: 'machine', via: 'api', authenticatedAt: 0 })
  })

  after(() => api[Symbol.asyncDispose]())

  it('reads what its role may read', async () => {
    const { status, text } = await api.ask('GET', '/tenants/default/people', { token })
    assert.equal(status, 200, text)
  })

  it('makes neither people nor machines, and gives no roles: nobody is there to be asked again', async () => {
    const asked = [
      ['/tenants/default/people', { login: 'mallory' }],
      ['/tenants/default/machines', { machine: 'second', role: 'owner', viaApi: true }],
    ] as const
    for (const [path, body] of asked) {
      const answer = await api.ask('POST', path, { token, body })
      assert.equal(answer.body.code, 'LOGIN_AGAIN', answer.text)
    }
    assert.deepEqual((await api.kit.command('person.list', {})) as object, { items: [] })
  })
})
