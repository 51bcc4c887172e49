import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AUDIT_SCAN_MAX, type AuditFilter } from '../../../relay/audit/store.ts'
import type { TimedEvent } from '../../../relay/store/tenants.ts'
import { openTestStore } from '../store/store-fixture.ts'
import { streamClosed } from './audit-fixture.ts'

function events(count: number): readonly TimedEvent[] {
  return Array.from({ length: count }, (_, i) => ({
    time: 1_000 + i,
    event: streamClosed(`hq/r${i % 3}`, {
      environment: i % 2 === 0 ? 'test' : 'production',
      outcome: i === 7 ? 'IDLE' : 'OK',
      actor: { kind: i === 8 ? 'relay' : 'connector', id: i === 9 ? 'special' : 'c' },
      traceId: `t${i}`,
      action: i === 5 ? 'stream.open' : 'stream.close',
    }),
  }))
}

test('a page follows the other in both directions, without gap or repetition', async (t) => {
  const { store } = await openTestStore(t)
  await store.relay.appendAudit(events(25))
  for (const order of ['oldest', 'newest'] as const) {
    const seqs: number[] = []
    let cursor: number | undefined
    do {
      const page = await store.readAudit('default', { order, limit: 10, cursor })
      seqs.push(...page.records.map(({ seq }) => seq))
      cursor = page.next
    } while (cursor !== undefined)
    const all = Array.from({ length: 25 }, (_, i) => i + 1)
    assert.deepEqual(seqs, order === 'oldest' ? all : all.reverse())
  }
})

test('each filter finds what it names', async (t) => {
  const { store } = await openTestStore(t)
  await store.relay.appendAudit(events(12))
  const found = async (filter: AuditFilter) => {
    const { records } = await store.readAudit('default', { order: 'oldest', limit: 100, filter })
    return records.map(({ seq }) => seq)
  }
  assert.deepEqual(await found({ from: 1_010 }), [11, 12])
  assert.deepEqual(await found({ until: 1_002 }), [1, 2])
  assert.deepEqual(await found({ outcome: 'IDLE' }), [8])
  assert.deepEqual(await found({ actorKind: 'relay' }), [9])
  assert.deepEqual(await found({ actorId: 'special' }), [10])
  assert.deepEqual(await found({ action: 'stream.open' }), [6])
  assert.deepEqual(await found({ object: 'hq/r2' }), [3, 6, 9, 12])
  assert.deepEqual(await found({ traceId: 't3' }), [4])
  assert.deepEqual(await found({ environment: 'test', object: 'hq/r0' }), [1, 7])
  assert.deepEqual(await found({ object: "' OR 1=1 --" }), [])
})

test('a search that finds little looks at a bounded stretch and says where to go on', async (t) => {
  const { store } = await openTestStore(t)
  const one = { time: 1, event: streamClosed('hq/db') }
  const all = AUDIT_SCAN_MAX + 10
  for (let i = 0; i < all; i += 5_000) {
    await store.relay.appendAudit(Array(Math.min(5_000, all - i)).fill(one))
  }
  const request = { limit: 100, filter: { object: 'nothing' } }
  const oldest = await store.readAudit('default', { ...request, order: 'oldest' })
  assert.deepEqual(oldest, { records: [], next: AUDIT_SCAN_MAX })
  const rest = await store.readAudit('default', { ...request, order: 'oldest', cursor: oldest.next })
  assert.deepEqual(rest, { records: [], next: undefined })
  const newest = await store.readAudit('default', { ...request, order: 'newest' })
  assert.deepEqual(newest, { records: [], next: 11 })
  const first = await store.readAudit('default', { ...request, order: 'newest', cursor: newest.next })
  assert.deepEqual(first, { records: [], next: undefined })
})
