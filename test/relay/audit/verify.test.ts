import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { makeCheckpoint } from '../../../relay/audit/checkpoint.ts'
import { recordHash } from '../../../relay/audit/record.ts'
import { type AuditVerdict, verifyChain } from '../../../relay/audit/verify.ts'
import { createAuthority } from '../../../relay/authority/certificate-authority.ts'
import { CHAIN_START } from '../../../shared/audit/chain.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { temporaryDirectory } from '../store/store-fixture.ts'
import { streamClosed, type TestTrail, testTrail } from './audit-fixture.ts'

/** A chain of ten records with checkpoints at 4 and 8. */
async function chain(t: TestContext): Promise<TestTrail & { verdict(sql?: string): Promise<AuditVerdict> }> {
  const made = await testTrail(t)
  const { trail, store, authority, path } = made
  for (let i = 1; i <= 10; i++) {
    trail.audit(streamClosed(`site/r${i}`))
    await trail.flush()
    if (i % 4 !== 0) continue
    const head = await store.auditHead('default')
    await store.addAuditCheckpoint('default', makeCheckpoint(authority, 'default', head, 1_000))
  }
  const verdict = async (sql?: string) => {
    if (sql !== undefined) {
      const db = new DatabaseSync(path)
      db.exec(sql)
      db.close()
    }
    return verifyChain({ store, tenantId: 'default', certificate: authority.certificate })
  }
  return { ...made, verdict }
}

test('a chain that was left alone holds', async (t) => {
  const { verdict } = await chain(t)
  assert.deepEqual(await verdict(), { records: 10, vouchedTo: 8, fault: undefined })
})

test('a record that was edited is named', async (t) => {
  for (const change of ["object = 'x'", 'time = 5', "outcome = 'IDLE'", "actor_id = ''", "detail = 'more'"]) {
    const { verdict } = await chain(t)
    const { fault } = await verdict(`UPDATE audit_records SET ${change} WHERE seq = 6`)
    assert.deepEqual([fault?.seq, fault?.kind], [6, 'edited'], change)
  }
})

test('a record that is missing is named, the first one too', async (t) => {
  for (const seq of [1, 6]) {
    const { verdict } = await chain(t)
    const { fault } = await verdict(`DELETE FROM audit_records WHERE seq = ${seq}`)
    assert.deepEqual([fault?.seq, fault?.kind], [seq, 'missing'])
  }
})

test('a gap that was closed by new numbers is named', async (t) => {
  const { verdict } = await chain(t)
  const { fault } = await verdict(
    'DELETE FROM audit_records WHERE seq = 6; UPDATE audit_records SET seq = seq - 1 WHERE seq > 6',
  )
  assert.deepEqual([fault?.seq, fault?.kind], [6, 'edited'])
})

test('two records that changed places are named', async (t) => {
  const { verdict } = await chain(t)
  const { fault } = await verdict(`
    UPDATE audit_records SET seq = 100 WHERE seq = 6;
    UPDATE audit_records SET seq = 6 WHERE seq = 7;
    UPDATE audit_records SET seq = 7 WHERE seq = 100`)
  assert.deepEqual([fault?.seq, fault?.kind], [6, 'edited'])
})

test('a record put in is named', async (t) => {
  const { verdict } = await chain(t)
  const { fault } = await verdict(`
    UPDATE audit_records SET seq = 11 WHERE seq = 10;
    INSERT INTO audit_records SELECT tenant_id, 10, time, environment, actor_kind, actor_id, source, action, object,
      outcome, trace_id, detail, hash FROM audit_records WHERE seq = 9`)
  assert.deepEqual([fault?.seq, fault?.kind], [10, 'edited'])
})

test('S37: an end that was cut off is seen as far as a checkpoint vouches for it', async (t) => {
  const { verdict } = await chain(t)
  const cut = await verdict('DELETE FROM audit_records WHERE seq > 6')
  assert.deepEqual([cut.fault?.seq, cut.fault?.kind, cut.records], [7, 'cut', 6])
  const all = await verdict('DELETE FROM audit_records')
  assert.deepEqual([all.fault?.seq, all.fault?.kind], [1, 'cut'])
})

test('S37: an end that was cut off with its checkpoints is seen by a checkpoint kept elsewhere', async (t) => {
  const { store, verdict, authority } = await chain(t)
  const witnessed = await store.listAuditCheckpoints('default', 0)
  assert.equal(
    (await verdict('DELETE FROM audit_records WHERE seq > 6; DELETE FROM audit_checkpoints WHERE seq > 6'))
      .fault,
    undefined,
  )
  const { certificate } = authority
  const { fault } = await verifyChain({ store, tenantId: 'default', certificate, witnessed })
  assert.deepEqual([fault?.seq, fault?.kind], [7, 'cut'])
})

test('a chain that was written anew with right hashes is seen by its checkpoint', async (t) => {
  const { store, path, verdict } = await chain(t)
  const { records } = await store.readAudit('default', { order: 'oldest', limit: 100 })
  const db = new DatabaseSync(path)
  const update = db.prepare('UPDATE audit_records SET object = ?, hash = ? WHERE seq = ?')
  let before: Uint8Array = CHAIN_START
  for (const record of records) {
    const object = record.seq === 6 ? 'site/other' : record.object
    before = recordHash({ ...record, object }, before)
    update.run(object, before, record.seq)
  }
  db.close()
  const { fault } = await verdict()
  assert.deepEqual([fault?.seq, fault?.kind], [5, 'rewritten'])
})

test('a checkpoint that another key signed is named', async (t) => {
  const { store, verdict } = await chain(t)
  const other = await createAuthority(await temporaryDirectory(t), new FakeEffects({ seed: 9 }))
  const head = await store.auditHead('default')
  await store.addAuditCheckpoint('default', makeCheckpoint(other, 'default', head, 1_000))
  const { fault, vouchedTo } = await verdict()
  assert.deepEqual([fault?.seq, fault?.kind, vouchedTo], [10, 'checkpoint', 8])
})

test('a checkpoint vouches for its own tenant only', async (t) => {
  const { store, authority } = await chain(t)
  const [one] = await store.listAuditCheckpoints('default', 0)
  assert.ok(one)
  await store.addAuditCheckpoint('other', one)
  const { certificate } = authority
  const { fault } = await verifyChain({ store, tenantId: 'other', certificate })
  assert.equal(fault?.kind, 'checkpoint')
})
