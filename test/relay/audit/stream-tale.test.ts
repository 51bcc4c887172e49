import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditEvent } from '../../../relay/audit/record.ts'
import { StreamTale } from '../../../relay/audit/stream-tale.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

function tale(attempt?: number) {
  const events: AuditEvent[] = []
  const effects = new FakeEffects()
  const made = new StreamTale({
    audit: (event) => events.push(event),
    effects,
    tenantId: 'acme',
    environment: 'test',
    actor: { kind: 'connector', id: 'c' },
    source: '192.0.2.1',
    object: 'hq/db',
    traceId: 'ab',
    attempt,
  })
  const lines = () =>
    events.map(({ action, outcome, detail }) => `${action} ${outcome} ${detail ?? ''}`.trim())
  return { made, effects, events, lines }
}

test('a stream that lives on has a record when it begins and one when it ends', () => {
  const { made, effects, lines, events } = tale()
  made.opened()
  assert.deepEqual(lines(), [])
  effects.advance(1_000)
  assert.deepEqual(lines(), ['stream.open OK'])
  effects.advance(59_000)
  made.closed('TARGET_RESET', 5, 7)
  assert.deepEqual(lines(), ['stream.open OK', 'stream.close TARGET_RESET sent 5, received 7, 60000 ms'])
  assert.equal(effects.timerCount, 0)
  const { tenantId, environment, object, traceId, source, actor } = events[1] as AuditEvent
  assert.deepEqual(
    { tenantId, environment, object, traceId, source, actor },
    {
      ...{ tenantId: 'acme', environment: 'test', object: 'hq/db', traceId: 'ab', source: '192.0.2.1' },
      actor: { kind: 'connector', id: 'c' },
    },
  )
})

test('a short stream has one record, which says all', () => {
  const { made, effects, lines } = tale()
  made.opened()
  effects.advance(40)
  made.closed('OK', 1, 2)
  effects.advance(5_000)
  assert.deepEqual(lines(), ['stream.close OK sent 1, received 2, 40 ms'])
})

test('a stream whose target was not dialled was refused', () => {
  const { made, lines } = tale()
  made.closed('DENIED_BY_RELAY', 0, 0)
  assert.deepEqual(lines(), ['stream.refuse DENIED_BY_RELAY'])
})

test('a stream that found a new path says which', () => {
  const { made, effects, lines } = tale(2)
  made.opened()
  effects.advance(1_000)
  assert.deepEqual(lines(), ['stream.open OK path 3'])
})
