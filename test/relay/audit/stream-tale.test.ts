import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditEvent } from '../../../relay/audit/record.ts'
import { StreamTale } from '../../../relay/audit/stream-tale.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

/** What is told of a stream that ends before its target was dialled. */
function refusal(attempt: number | undefined): AuditEvent | undefined {
  const events: AuditEvent[] = []
  const tale = new StreamTale({
    audit: (event) => events.push(event),
    effects: new FakeEffects(),
    tenantId: 'default',
    environment: 'production',
    actor: { kind: 'connector', id: 'eve' },
    source: '192.0.2.1',
    object: 'berlin/db',
    traceId: 'ab'.repeat(16),
    attempt,
  })
  tale.closed('DENIED_BY_SITE', 0, 0)
  assert.equal(events.length, 1)
  return events[0]
}

test("whoever claims another's stream is told of, as who asked for which path of what from where", () => {
  assert.deepEqual(refusal(3), {
    tenantId: 'default',
    environment: 'production',
    action: 'stream.refuse',
    outcome: 'DENIED_BY_SITE',
    actor: { kind: 'connector', id: 'eve' },
    object: 'berlin/db',
    source: '192.0.2.1',
    traceId: 'ab'.repeat(16),
    detail: 'path 4',
  })
  assert.equal(refusal(undefined)?.detail, '')
})
