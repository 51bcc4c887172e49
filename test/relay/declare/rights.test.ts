import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { CONNECTOR, DeclareKit } from './declare-kit.ts'

let kit: DeclareKit

before(async () => {
  kit = await DeclareKit.start()
})

after(() => kit[Symbol.asyncDispose]())

describe('who may not make a change by hand', () => {
  it('changes nothing by applying it either, and is told what it takes', async () => {
    const document = { connectors: [CONNECTOR], settings: { lockoutFailures: 7 } }
    const before = await kit.stateOf()
    const refused = await kit.apply(document, kit.api.callers.withRole('administrator'))
    assert.deepEqual([refused.status, refused.body.code], [403, 'FORBIDDEN'])
    assert.match(String(refused.body.detail), /change settings tenant: lockout\.set needs tenant:write/)
    assert.deepEqual(await kit.stateOf(), before)
    assert.equal((await kit.apply(document, kit.api.callers.withRole('auditor'))).body.code, 'FORBIDDEN')
    assert.deepEqual(await kit.stateOf(), before)
  })

  it('has left a record of what was refused', async () => {
    await kit.apply({ settings: { lockoutFailures: 7 } }, kit.api.callers.withRole('administrator'))
    await kit.api.kit.relay.trail.flush()
    const page = await kit.api.kit.relay.authority.store.readAudit('default', { order: 'newest', limit: 2 })
    const told = page.records.map(({ action, object, outcome }) => `${action} ${object} ${outcome}`)
    assert.deepEqual(told, [
      'operation.refuse declare.apply FORBIDDEN',
      'operation.refuse lockout.set FORBIDDEN',
    ])
  })

  it('plans no section that no list would show', async () => {
    const developer = kit.api.callers.withRole('developer')
    assert.equal((await kit.plan({ grants: [] }, developer)).status, 200)
    const refused = await kit.plan({ grants: [], roles: [] }, developer)
    assert.equal(refused.body.code, 'FORBIDDEN')
    assert.match(String(refused.body.detail), /roles needs people:read/)
    const exported = await kit.api.ask('GET', '/tenants/default/declaration', { token: developer })
    const shown = ['environments', 'connectors', 'grants', 'publications', 'freezes']
    assert.deepEqual(Object.keys(exported.body.declaration as object), shown)
    assert.deepEqual(exported.body.left, [
      'settings',
      'restrictions',
      'deliveries',
      'providers',
      'machines',
      'roles',
    ])
  })

  it('gives no role that is beyond its own, to people or to machines', async () => {
    const administrator = kit.api.callers.withRole('administrator')
    const machine = { machines: [{ machine: 'ci', role: 'owner' }] }
    const roles = {
      roles: [
        { person: 'ann', role: 'owner' },
        { person: 'bob', role: 'owner' },
      ],
    }
    for (const document of [machine, roles]) {
      assert.equal((await kit.apply(document, administrator)).body.code, 'FORBIDDEN')
    }
    const lesser = {
      roles: [
        { person: 'ann', role: 'owner' },
        { person: 'bob', role: 'auditor' },
      ],
    }
    assert.equal((await kit.apply(lesser, administrator)).status, 200)
    // Who could reset the password of an owner could be one.
    assert.equal(
      (await kit.apply({ roles: [{ person: 'bob', role: 'auditor' }] }, administrator)).body.code,
      'FORBIDDEN',
    )
  })

  it('is asked to log in again where the change by hand asks for it', async () => {
    const stale = kit.api.callers.add('stale', [{ tenantId: 'default', role: 'owner' }], {
      authenticatedAt: 0,
    })
    const dangerous = { restrictions: [{ restriction: 'office', ranges: ['192.0.2.0/24'] }] }
    const refused = await kit.apply(dangerous, stale)
    assert.deepEqual([refused.status, refused.body.code], [401, 'LOGIN_AGAIN'])
    assert.match(String(refused.body.detail), /restriction\.set/)
    assert.equal((await kit.apply({ settings: { lockoutFailures: 9 } }, stale)).status, 200)
  })

  it('of another tenant learns nothing', async () => {
    const { tenant } = await kit.newTenant()
    for (const body of [{}, { grants: [] }]) {
      assert.equal((await kit.plan(body, kit.owner, tenant)).body.code, 'NOT_FOUND')
    }
  })
})
