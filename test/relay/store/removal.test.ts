import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { RELAY_CHAIN } from '../../../relay/audit/record.ts'
import { createAuthority } from '../../../relay/authority/certificate-authority.ts'
import { checkRemovalProof, makeRemovalProof } from '../../../relay/authority/removal-proof.ts'
import { exportTenant } from '../../../relay/store/export-tenant.ts'
import { TENANT_TABLES } from '../../../relay/store/tenant-removal.ts'
import { actAt } from '../../support/acts.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { streamClosed } from '../audit/audit-fixture.ts'
import { newConnector, openTestStore, temporaryDirectory } from './store-fixture.ts'
import { fillTenant } from './tenant-walk.ts'

/** A name that stands in the file as long as anything of the tenant does. */
const CANARY = 'canary-tenant-4711'

test('the removal knows every table that has rows of tenants', async (t) => {
  const { path } = await openTestStore(t)
  const db = new DatabaseSync(path)
  const rows = db
    .prepare(
      `SELECT m.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
       WHERE m.type = 'table' AND c.name = 'tenant_id'`,
    )
    .all()
  db.close()
  assert.deepEqual(rows.map(({ name }) => String(name)).sort(), [...TENANT_TABLES].sort())
})

test('a removed tenant leaves nothing in the file, and the others everything', async (t) => {
  const { store, path } = await openTestStore(t)
  for (const id of [CANARY, 'stays']) await store.relay.addTenant(id, actAt())
  await fillTenant(store, CANARY)
  // Many records, so that some went into pages of their own and into parts of the removal.
  for (let i = 0; i < 40; i++) {
    const event = streamClosed(`${CANARY}/x`, { tenantId: CANARY })
    await store.relay.appendAudit(Array.from({ length: 100 }, (_, time) => ({ event, time })))
  }
  await store.addConnector('stays', newConnector('c', 'app'), [], actAt())
  const before = await store.auditHead(CANARY)
  const removal = await store.relay.removeTenant(CANARY, actAt(9_000))
  assert.deepEqual(removal?.audit, before)
  assert.equal(removal?.removed.audit_records, before.seq)
  assert.equal(removal?.removed.connectors, 1)
  assert.equal(removal?.removed.environments, 4)
  assert.deepEqual(await store.auditHead(CANARY), { seq: 0, hash: new Uint8Array(32) })
  assert.equal((await store.listConnectors('stays')).length, 1)
  assert.deepEqual(
    (await store.relay.listTenants()).map(({ id }) => id),
    ['default', 'stays'],
  )
  // The relay's own chain says that there was one: twice, when it came and when it went.
  const own = await store.readAudit(RELAY_CHAIN, { order: 'newest', limit: 10, filter: { object: CANARY } })
  assert.deepEqual(
    own.records.map(({ action }) => action),
    ['tenant.remove', 'tenant.add'],
  )
  assert.match(own.records[0]?.detail ?? '', /^\d+ records, the last [0-9a-f]{64}$/)
  const left = (await Promise.all([path, `${path}-wal`].map((file) => readFile(file, 'latin1')))).join('')
  assert.equal(left.split(CANARY).length - 1, 2)
  assert.equal(await store.relay.removeTenant(CANARY, actAt()), undefined)
})

test('a proof holds as it was signed, for the relay that signed it', async (t) => {
  const { store } = await openTestStore(t)
  const effects = new FakeEffects()
  const authority = await createAuthority(await temporaryDirectory(t), effects)
  const other = await createAuthority(await temporaryDirectory(t), effects)
  await store.relay.addTenant('acme', actAt())
  const removal = await store.relay.removeTenant('acme', actAt())
  assert.ok(removal)
  const proof = makeRemovalProof(authority, 'acme', removal, 1_000)
  const text = JSON.stringify(proof)
  assert.deepEqual(checkRemovalProof(text, authority.certificate), proof)
  assert.throws(() => checkRemovalProof(text, other.certificate), { code: 'AUDIT' })
  const changes = [
    { tenant: 'acmf' },
    { time: '2027-01-01T00:00:00.000Z' },
    { removed: { ...proof.removed, agents: 7 } },
    { audit: { ...proof.audit, records: 9 } },
    { audit: { ...proof.audit, hash: '0'.repeat(64) } },
    { signer: 'SHA256:other' },
  ]
  for (const change of changes) {
    const changed = JSON.stringify({ ...proof, ...change })
    assert.throws(() => checkRemovalProof(changed, authority.certificate), { code: 'AUDIT' })
  }
  for (const wrong of ['', '{}', 'null', JSON.stringify({ ...proof, more: 1 })]) {
    assert.throws(() => checkRemovalProof(wrong, authority.certificate), { code: 'CONFIG' })
  }
})

test('an export holds every row of the tenant, none of another, and no secret', async (t) => {
  const { store, path } = await openTestStore(t)
  for (const id of ['acme', 'stranger']) await store.relay.addTenant(id, actAt())
  await fillTenant(store, 'acme')
  const parts: string[] = []
  for await (const part of exportTenant(join(path, '..'), 'acme')) parts.push(part)
  const text = parts.join('')
  const parsed = JSON.parse(text) as {
    tenant: string
    rows: number
    tables: Record<string, Record<string, unknown>[]>
  }
  assert.equal(parsed.tenant, 'acme')
  assert.deepEqual(Object.keys(parsed.tables), [...TENANT_TABLES])
  assert.equal(Object.values(parsed.tables).flat().length, parsed.rows)
  assert.ok(Object.values(parsed.tables).every((table) => table.length > 0))
  assert.deepEqual(parsed.tables.grants, [
    { tenant_id: 'acme', connector_id: 'c', site: 'berlin', resource: 'db', expires_at: null, hours: null },
  ])
  assert.deepEqual(Object.keys(parsed.tables.secrets?.[0] ?? {}), ['tenant_id', 'name', 'changed_at'])
  assert.doesNotMatch(text, /stranger|seed of|wrapped/)
  await assert.rejects(exportTenant(join(path, '..'), 'nobody').next(), { code: 'NOT_FOUND' })
})
