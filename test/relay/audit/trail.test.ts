import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { RELAY_CHAIN } from '../../../relay/audit/record.ts'
import { AuditTrail, TRAIL_LIMITS } from '../../../relay/audit/trail.ts'
import { verifyChain } from '../../../relay/audit/verify.ts'
import type { Store } from '../../../relay/store/store.ts'
import { actAt } from '../../support/acts.ts'
import { eventually } from '../../support/deadline.ts'
import { streamClosed, testTrail } from './audit-fixture.ts'

const CLOSED = (object: string) => `stream.close ${object} OK`

test('events are written together, within a second', async (t) => {
  const { trail, effects, records } = await testTrail(t)
  trail.audit(streamClosed('a/1'))
  trail.audit(streamClosed('a/2'))
  effects.advance(TRAIL_LIMITS.waitMs - 1)
  assert.deepEqual(await records(), [])
  effects.advance(1)
  await trail.flush()
  assert.deepEqual(await records(), [CLOSED('a/1'), CLOSED('a/2')])
  assert.equal(trail.waiting, 0)
})

test('as soon as a batch is full it is written', async (t) => {
  const { trail, records } = await testTrail(t)
  for (let i = 0; i < TRAIL_LIMITS.batch; i++) trail.audit(streamClosed(`a/${i}`))
  while (trail.waiting > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal((await records()).length, TRAIL_LIMITS.batch)
})

test('records of a change and of streams stand in one chain, in the order in which they were written', async (t) => {
  const { trail, store, records, authority } = await testTrail(t)
  trail.audit(streamClosed('a/1'))
  await trail.flush()
  await store.addEnvironment('default', 'staging', false, actAt())
  trail.audit(streamClosed('a/2'))
  await trail.flush()
  assert.deepEqual(await records(), [CLOSED('a/1'), 'environment.add staging OK', CLOSED('a/2')])
  const { certificate } = authority
  assert.equal((await verifyChain({ store, tenantId: 'default', certificate })).fault, undefined)
})

test('events wait while the store fails, and are written when it works again', async (t) => {
  const { trail, path, effects, records, log } = await testTrail(t)
  const db = new DatabaseSync(path)
  db.exec("CREATE TRIGGER refuse BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'full'); END")
  trail.audit(streamClosed('a/1'))
  await trail.flush()
  assert.equal(trail.waiting, 1)
  assert.ok(log.records.some(({ msg }) => msg === 'audit records wait for the store'))
  db.exec('DROP TRIGGER refuse')
  db.close()
  trail.audit(streamClosed('a/2'))
  effects.advance(TRAIL_LIMITS.waitMs)
  await trail.flush()
  assert.deepEqual(await records(), [CLOSED('a/1'), CLOSED('a/2')])
})

test('what cannot be kept while the store fails leaves its number', async (t) => {
  const { trail, path, records } = await testTrail(t)
  const db = new DatabaseSync(path)
  db.exec("CREATE TRIGGER refuse BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'full'); END")
  trail.audit(streamClosed('a/0'))
  await trail.flush()
  for (let i = 1; i < TRAIL_LIMITS.queue + 3; i++) trail.audit(streamClosed(`a/${i}`))
  assert.equal(trail.waiting, TRAIL_LIMITS.queue)
  db.exec('DROP TRIGGER refuse')
  db.close()
  await trail.flush()
  await trail.flush()
  // One more made room for the record that says so.
  assert.deepEqual(await records(RELAY_CHAIN), ['audit.lost 3 STORE', 'audit.lost 1 STORE'])
  assert.equal((await records()).length, TRAIL_LIMITS.queue - 1)
})

test('a flood of strangers is counted, not written one by one', async (t) => {
  const { trail, records } = await testTrail(t)
  const stranger = streamClosed('', {
    tenantId: RELAY_CHAIN,
    actor: { kind: 'nobody', id: '' },
    action: 'session.refuse',
    outcome: 'IDENTITY',
  })
  for (let i = 0; i < 10_000; i++) trail.audit(stranger)
  await trail.flush()
  const written = await records(RELAY_CHAIN)
  assert.equal(written.length, TRAIL_LIMITS.refusalBurst + 1)
  assert.equal(written.at(-1), `audit.held ${10_000 - TRAIL_LIMITS.refusalBurst} ENHANCE_CALM`)
})

test('the first record after a crash says that there was one, after a stop that there was none', async (t) => {
  const { trail, store, effects, authority, log, records } = await testTrail(t)
  await trail.start()
  trail.audit(streamClosed('a/1'))
  await trail.flush()
  // The process is killed: what it had not written is gone.
  const second = new AuditTrail({ store, authority, effects, log: log.log })
  await second.start()
  await second.stop()
  const third = new AuditTrail({ store, authority, effects, log: log.log })
  await third.start()
  assert.deepEqual(await records(), [
    'relay.start  OK',
    CLOSED('a/1'),
    'relay.start  SESSION_LOST',
    'relay.stop  OK',
    'relay.start  OK',
  ])
})

test('an event of a tenant that is not there is left out, and the others are written', async (t) => {
  const { trail, records } = await testTrail(t)
  trail.audit(streamClosed('a/1', { tenantId: 'removed' }))
  trail.audit(streamClosed('a/2'))
  await trail.flush()
  assert.deepEqual(await records('removed'), [])
  assert.deepEqual(await records(), [CLOSED('a/2')])
})

test('a checkpoint is signed after a thousand records, each hour, and at the end', async (t) => {
  const { trail, store, effects } = await testTrail(t)
  await trail.start()
  for (let i = 0; i < TRAIL_LIMITS.checkpointRecords; i++) trail.audit(streamClosed('a/1'))
  await trail.flush()
  const seqs = async () => (await store.listAuditCheckpoints('default', 0)).map(({ seq }) => seq)
  assert.equal((await seqs()).length, 1)
  trail.audit(streamClosed('a/2'))
  await trail.flush()
  effects.advance(TRAIL_LIMITS.checkpointMs)
  const head = (await store.auditHead('default')).seq
  await eventually(async () => (await seqs()).at(-1) === head, 'the checkpoint of the hour')
  await trail.stop()
  assert.equal((await seqs()).at(-1), head + 1)
})

test('a stream that looks for a path again and again leaves one refusal for each code', async (t) => {
  const { trail, records } = await testTrail(t)
  const search = (traceId: string, outcome: 'AGENT_OFFLINE' | 'DENIED_BY_RELAY') =>
    trail.audit(streamClosed('a/1', { action: 'stream.refuse', outcome, traceId, mayRepeat: true }))
  for (let i = 0; i < 50; i++) search('one', 'AGENT_OFFLINE')
  search('one', 'DENIED_BY_RELAY')
  search('two', 'AGENT_OFFLINE')
  await trail.flush()
  const line = (outcome: string) => `stream.refuse a/1 ${outcome}`
  assert.deepEqual(await records(), ['AGENT_OFFLINE', 'DENIED_BY_RELAY', 'AGENT_OFFLINE'].map(line))
})

/** A store whose next batch is written when `go` says so. */
function heldStore(store: Store) {
  const go = Promise.withResolvers<void>()
  const began = Promise.withResolvers<void>()
  const batches: number[] = []
  const appendAudit: Store['relay']['appendAudit'] = async (events) => {
    batches.push(events.length)
    began.resolve()
    await go.promise
    await store.relay.appendAudit(events)
  }
  const held = Object.create(store, { relay: { value: { ...store.relay, appendAudit } } }) as Store
  return { held, batches, began: began.promise, go: go.resolve }
}

test('what comes while a batch is written waits for its time instead of following in twos and threes', async (t) => {
  const { store, effects, authority, log } = await testTrail(t)
  const { held, batches, began, go } = heldStore(store)
  const trail = new AuditTrail({ store: held, authority, effects, log: log.log })
  for (let i = 0; i < TRAIL_LIMITS.batch; i++) trail.audit(streamClosed('a/1'))
  await began
  for (let i = 0; i < 3; i++) trail.audit(streamClosed('a/2'))
  go()
  await eventually(() => trail.waiting === 3, 'the batch is written')
  assert.deepEqual(batches, [TRAIL_LIMITS.batch])
  effects.advance(TRAIL_LIMITS.waitMs)
  await eventually(() => trail.waiting === 0, 'the rest is written')
  assert.deepEqual(batches, [TRAIL_LIMITS.batch, 3])
})

test('a queue that runs over while a batch is written loses what it counts, and nothing of the batch', async (t) => {
  const { store, effects, authority, log, records } = await testTrail(t)
  const { held, began, go } = heldStore(store)
  const trail = new AuditTrail({ store: held, authority, effects, log: log.log })
  for (let i = 0; i < TRAIL_LIMITS.batch; i++) trail.audit(streamClosed(`batch/${i}`))
  await began
  for (let i = 0; i < TRAIL_LIMITS.queue + 5; i++) trail.audit(streamClosed(`later/${i}`))
  go()
  await trail.flush()
  await trail.flush()
  assert.deepEqual(await records(RELAY_CHAIN), ['audit.lost 5 STORE', 'audit.lost 1 STORE'])
  const kept = await records()
  assert.equal(kept.length, TRAIL_LIMITS.batch + TRAIL_LIMITS.queue - 1)
  assert.deepEqual([kept[0], kept[TRAIL_LIMITS.batch]], [CLOSED('batch/0'), CLOSED('later/6')])
})
