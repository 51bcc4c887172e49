import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agentTroubles, targetsLine } from '../../../agent/health/trouble.ts'
import type { TargetStatus } from '../../../agent/health/watch.ts'

const target = (resource: string, more: Partial<TargetStatus>): TargetStatus => ({
  resource,
  probe: 'tcp',
  state: 'ok',
  detail: '',
  since: 7,
  ...more,
})

test('an agent without a relay names that leg as its own, and its targets after it', () => {
  const troubles = agentTroubles({
    connected: false,
    site: 'hq',
    downSince: 5,
    lastError: { code: 'RELAY_UNREACHABLE', leg: 'connector-relay', message: '', detail: 'x', next: 'look' },
    targets: [
      target('ok', {}),
      target('db', { state: 'failing', code: 'CONNECTION_REFUSED', detail: '10.0.0.5:1' }),
      target('denied', { state: 'failing', code: 'DENIED_BY_SITE' }),
      target('mail', { state: 'warn', detail: 'soon over' }),
    ],
  })
  assert.deepEqual(
    troubles.map(({ what, state, leg, code, since, text }) => [what, state, leg, code, since, text]),
    [
      ['site hq', 'failing', 'relay-agent', 'RELAY_UNREACHABLE', 5, 'x'],
      ['db', 'failing', 'agent-target', 'CONNECTION_REFUSED', 7, '10.0.0.5:1'],
      ['denied', 'failing', 'agent', 'DENIED_BY_SITE', 7, ''],
      ['mail', 'warn', 'agent-target', undefined, 7, 'soon over'],
    ],
  )
})

test('another leg than the way to the relay stays as it is, and a pause is no trouble of each target', () => {
  const troubles = agentTroubles({
    connected: false,
    site: 'hq',
    lastError: { code: 'IDENTITY', leg: 'relay', message: '', detail: '', next: '' },
    targets: [target('db', { state: 'failing', code: 'PAUSED' })],
  })
  assert.deepEqual(
    troubles.map(({ leg }) => leg),
    ['relay'],
  )
})

test('targets are counted where any is asked', () => {
  assert.deepEqual(targetsLine([target('a', { state: 'unasked' })]), [])
  const some = [target('a', {}), target('b', { state: 'warn' }), target('c', { state: 'failing' })]
  assert.deepEqual(targetsLine(some), ['targets 2 of 3 answer'])
  assert.deepEqual(targetsLine([...some, target('d', { state: 'unknown' })]), [
    'targets 2 of 4 answer, 1 not asked yet',
  ])
})
