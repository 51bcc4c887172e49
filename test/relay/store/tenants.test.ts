import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { RELAY_CHAIN } from '../../../relay/audit/record.ts'
import { openSqliteStore } from '../../../relay/store/sqlite-store.ts'
import type { Store, StoreTogether } from '../../../relay/store/store.ts'
import { actAt } from '../../support/acts.ts'
import { hashOf, newConnector, openTestStore, storeOptions, temporaryDirectory } from './store-fixture.ts'
import { fillTenant, WALK, type WalkStep } from './tenant-walk.ts'

const STEPS = Object.entries(WALK) as [keyof typeof WALK, WalkStep][]

/** They ask a key service, which may take its time: not while everybody waits. */
const ASK_KEY_SERVICE: ReadonlySet<string> = new Set(['rekey', 'rewrapKeys'])

async function outcomeOf({ call }: WalkStep, store: StoreTogether, tenant: string): Promise<unknown> {
  return call(store, tenant).then(
    (value) => ({ gives: value }),
    (error: Error & { code: string; detail: string }) => ({
      code: error.code,
      // The tenant that was asked about may be named, since the asker named it.
      detail: error.detail.replaceAll(tenant, 'TENANT'),
    }),
  )
}

test('the walk names every function of the store that takes a tenant', async (t) => {
  const { store } = await openTestStore(t)
  const functions = Object.keys(store).filter((name) => name !== 'relay' && name !== 'together')
  assert.deepEqual(functions.sort(), Object.keys(WALK).sort())
})

test("every function finds with its own tenant's id what it does not find with another's", async (t) => {
  const { store } = await openTestStore(t)
  await store.relay.addTenant('filled', actAt())
  await fillTenant(store, 'filled')
  for (const [name, step] of STEPS) {
    const ask = (within: StoreTogether) => outcomeOf(step, within, 'filled')
    const found = await (ASK_KEY_SERVICE.has(name) ? ask(store) : undone(store, ask))
    assert.equal('code' in (found as object), false, `${name} fails for its own tenant`)
    if ('gives' in step.nothing && step.nothing.gives !== undefined) {
      assert.notDeepEqual((found as { gives: unknown }).gives, step.nothing.gives, `${name} finds nothing`)
    }
  }
})

/** What `work` gives; nothing that it changes stays. */
async function undone<T>(store: Store, work: (store: StoreTogether) => Promise<T>): Promise<T> {
  const undo = new Error('undo')
  const given: T[] = []
  const run = store.together('filled', true, async (within) => {
    given.push(await work(within))
    throw undo
  })
  await assert.rejects(run, undo)
  return given[0] as T
}

test("another tenant's id answers exactly like a random one, and changes nothing", async (t) => {
  const { store } = await openTestStore(t)
  await store.relay.addTenant('filled', actAt())
  await fillTenant(store, 'filled')
  const before = await Promise.all([store.counts('filled', 1_500), store.auditHead('filled')])
  for (const [name, step] of STEPS) {
    if (name === 'addAuditCheckpoint') continue
    const random = await outcomeOf(step, store, 'n0b0dy')
    const unnamed = await outcomeOf(step, store, 'another')
    assert.deepEqual(random, unnamed, name)
    if ('gives' in step.nothing) assert.deepEqual(random, step.nothing, name)
    else assert.equal((random as { code: string }).code, step.nothing.code, name)
  }
  const after = await Promise.all([store.counts('filled', 1_500), store.auditHead('filled')])
  assert.deepEqual(after, before)
})

test('what one tenant has, a tenant that exists finds no more than one that does not', async (t) => {
  const { store } = await openTestStore(t)
  for (const id of ['filled', 'other']) await store.relay.addTenant(id, actAt())
  await fillTenant(store, 'filled')
  const byId: (keyof typeof WALK)[] = [
    'findAgent',
    'findConnector',
    'findConnectorByName',
    'grantTerms',
    'findGrantRequest',
    'decideGrantRequest',
    'removeFreeze',
    'isJoinTokenOpen',
    'enrollAgent',
    'renewAgent',
    'renewConnector',
    'confirmConnectorCertificate',
    'revokeAgent',
    'revokeConnector',
    'setGrants',
    'listGrants',
    'unpublish',
    'confirmAgentCertificate',
    'getSecret',
    'removeSecret',
  ]
  for (const name of byId) {
    const [other, random] = [
      await outcomeOf(WALK[name], store, 'other'),
      await outcomeOf(WALK[name], store, 'n0b0dy'),
    ]
    assert.deepEqual(other, random, name)
  }
})

/** The tables that belong to tenants, and where another condition than the tenant's stands in its place. */
const TENANT_TABLES =
  /"(environments|sites|join_tokens|agents|connectors|grants|publications|audit_records|audit_checkpoints|tenant_keys|secrets|replies|tenants)"/
const WITHOUT_TENANT = [
  // Who asks has shown the token itself.
  /^select "tenant_id" from "join_tokens" where "hash" = \?$/,
  // Whether there is any, of whatever tenant.
  /^select "version" from "tenant_keys" limit \?$/,
  // The relay's own list.
  /^select \* from "tenants" order by "id" limit \?$/,
]

test('no statement touches a table of tenants without the tenant in its condition', async (t) => {
  const seen: { sql: string; values: readonly unknown[] }[] = []
  const path = join(await temporaryDirectory(t), 'relay.db')
  const store = await openSqliteStore(path, {
    ...storeOptions(),
    onStatement: (sql, values) => seen.push({ sql, values }),
  })
  t.after(() => store[Symbol.asyncDispose]())
  await store.relay.addTenant('walked', actAt())
  await fillTenant(store, 'walked')
  for (const [, step] of STEPS) await outcomeOf(step, store, 'walked')
  await store.relay.listTenants()
  await store.relay.tenantOfJoinToken(hashOf('open'))
  await store.relay.hasTenantKeys()
  await store.relay.removeTenant('walked', actAt())
  assert.ok(seen.length > 50)
  for (const { sql, values } of seen) {
    if (!TENANT_TABLES.test(sql) || WITHOUT_TENANT.some((known) => known.test(sql))) continue
    const condition = sql.startsWith('insert')
      ? /\(("tenant_id"|"id", "created_at")/
      : /("tenant_id"|"tenants" where "id") = \?/
    assert.match(sql, condition)
    const isOwn = values.includes('walked') || values.includes(RELAY_CHAIN)
    assert.ok(isOwn, `${sql} runs without the tenant as a value`)
  }
})

test('an address that another tenant has published is taken, and nothing more is said', async (t) => {
  const { store } = await openTestStore(t)
  await store.relay.addTenant('other', actAt())
  const publication = {
    kind: 'host',
    address: 'app.example.org',
    environment: 'production',
    site: 'secret-site',
    resource: 'web',
  } as const
  await store.publish('other', publication, actAt())
  await assert.rejects(store.publish('default', { ...publication, site: 'mine' }, actAt()), {
    code: 'CONFLICT',
    detail: 'app.example.org is taken.',
  })
  assert.equal(await store.unpublish('default', 'host', 'app.example.org', actAt()), false)
  assert.equal((await store.listPublications('other')).length, 1)
})

test('the same names stand in two environments, and a grant reaches into its own only', async (t) => {
  const { store } = await openTestStore(t)
  for (const environment of ['production', 'test']) {
    await store.createJoinToken(
      'default',
      { tokenHash: hashOf(environment), environment, site: 'berlin', expiresAt: 9_000 },
      actAt(),
    )
    const connector = { ...newConnector(`c-${environment}`, 'app'), environment }
    await store.addConnector('default', connector, [], actAt())
  }
  assert.deepEqual(await store.listSites('default'), [
    { environment: 'production', name: 'berlin' },
    { environment: 'test', name: 'berlin' },
  ])
  assert.equal((await store.findConnectorByName('default', 'test', 'app'))?.id, 'c-test')
  assert.equal((await store.findConnectorByName('default', 'production', 'app'))?.id, 'c-production')
  assert.equal((await store.listConnectors('default', 'test')).length, 1)
})

test('an environment is removed only when nothing is left in it', async (t) => {
  const { store } = await openTestStore(t)
  const connector = { ...newConnector('c', 'app'), environment: 'test' }
  await store.addConnector('default', connector, [], actAt())
  await assert.rejects(store.removeEnvironment('default', 'test', actAt()), { code: 'CONFLICT' })
  assert.equal(await store.removeEnvironment('default', 'development', actAt()), true)
  assert.equal(await store.removeEnvironment('default', 'development', actAt()), false)
  assert.deepEqual(
    (await store.listEnvironments('default')).map(({ name }) => name),
    ['production', 'test'],
  )
  await assert.rejects(store.addEnvironment('default', 'test', true, actAt()), { code: 'CONFLICT' })
})

test('a tenant begins with three environments, of which one is production', async (t) => {
  const { store } = await openTestStore(t)
  await store.relay.addTenant('acme', actAt(7))
  await assert.rejects(store.relay.addTenant('acme', actAt()), { code: 'CONFLICT' })
  assert.deepEqual(await store.listEnvironments('acme'), await store.listEnvironments('default'))
  assert.deepEqual(
    (await store.listEnvironments('acme')).map(({ name, isProduction }) => `${name} ${isProduction}`),
    ['development false', 'production true', 'test false'],
  )
  assert.deepEqual(await store.relay.listTenants(), [
    { id: 'acme', createdAt: 7 },
    { id: 'default', createdAt: 0 },
  ])
})

test('a change that fails leaves no record, and one that succeeds leaves one in the same transaction', async (t) => {
  const { store, path } = await openTestStore(t)
  const records = async () => {
    const page = await store.readAudit('default', { order: 'oldest', limit: 100 })
    return page.records.map(({ action, object, outcome }) => `${action} ${object} ${outcome}`)
  }
  await store.addConnector('default', newConnector('c', 'app'), [], actAt())
  await assert.rejects(store.addConnector('default', newConnector('d', 'app'), [], actAt()))
  const written = ['connector.add c OK', 'grant.set c OK']
  assert.deepEqual(await records(), written)
  // The record cannot be written: so the change must not be there either.
  const db = new DatabaseSync(path)
  db.exec("CREATE TRIGGER refuse BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'no'); END")
  db.close()
  await assert.rejects(store.revokeConnector('default', 'c', actAt()), { code: 'STORE' })
  assert.equal((await store.findConnector('default', 'c'))?.revokedAt, undefined)
  assert.deepEqual(await records(), written)
})

test('what is done together is there with all of its records, or nothing is', async (t) => {
  const { store } = await openTestStore(t)
  const before = await store.auditHead('default')
  const fails = store.together('default', true, async (inside) => {
    await inside.addConnector('default', newConnector('c', 'app'), [], actAt())
    await inside.putSecret('default', 'one', Buffer.from('secret'), actAt())
    await inside.addEnvironment('default', 'staging', false, actAt())
    await inside.addEnvironment('default', 'staging', false, actAt())
  })
  await assert.rejects(fails, { code: 'CONFLICT' })
  assert.deepEqual(await store.listConnectors('default'), [])
  assert.deepEqual(await store.listSecrets('default'), [])
  assert.deepEqual(await store.auditHead('default'), before)
  const given = await store.together('default', true, async (inside) => {
    await inside.addConnector('default', newConnector('c', 'app'), [], actAt())
    await inside.putSecret('default', 'one', Buffer.from('secret'), actAt())
    return (await inside.listConnectors('default')).length
  })
  assert.equal(given, 1)
  assert.equal((await store.getSecret('default', 'one'))?.reveal().toString(), 'secret')
  assert.equal((await store.auditHead('default')).seq, before.seq + 3)
})

test('where there is no key yet, nothing that is done together makes one by itself', async (t) => {
  const { store } = await openTestStore(t)
  const put = store.together('default', false, (inside) =>
    inside.putSecret('default', 'one', Buffer.from('secret'), actAt()),
  )
  await assert.rejects(put, { code: 'CONFLICT' })
  assert.equal(await store.relay.hasTenantKeys(), false)
})
