import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHealth, doubtOf, leastDoubted, takeReports } from '../../../relay/gateway/health.ts'
import { type HealthReport, MAX_REPORTED_TARGETS } from '../../../shared/handshake/health.ts'

const NOW = Date.UTC(2027, 0, 1)

const report = (resource: string, state: HealthReport['state'], more: Partial<HealthReport> = {}) => ({
  resource,
  state,
  ageMs: 0,
  ...more,
})

test('a report says since when by the clock of the relay', () => {
  const health = createHealth()
  takeReports(
    health,
    {
      reports: [report('db', 'failing', { code: 'CONNECTION_REFUSED', ageMs: 60_000 })],
      conditions: undefined,
    },
    NOW,
  )
  assert.deepEqual(health.targets.get('db'), {
    state: 'failing',
    code: 'CONNECTION_REFUSED',
    since: NOW - 60_000,
  })
})

test('an age beyond all time does not become a date before 1970', () => {
  const health = createHealth()
  takeReports(
    health,
    { reports: [report('db', 'ok', { ageMs: Number.MAX_SAFE_INTEGER })], conditions: undefined },
    NOW,
  )
  assert.equal(health.targets.get('db')?.since, 0)
})

test('those are named that began to fail or ceased to', () => {
  const health = createHealth()
  assert.deepEqual(
    takeReports(health, { reports: [report('a', 'ok'), report('b', 'failing')], conditions: undefined }, NOW),
    ['b'],
  )
  assert.deepEqual(
    takeReports(
      health,
      { reports: [report('a', 'failing'), report('b', 'failing')], conditions: undefined },
      NOW,
    ),
    ['a'],
  )
  assert.deepEqual(
    takeReports(health, { reports: [report('a', 'warn'), report('b', 'gone')], conditions: undefined }, NOW),
    ['a', 'b'],
  )
  assert.deepEqual([...health.targets.keys()], ['a'])
})

test('no more than the limit is kept, and room that was made is used', () => {
  const health = createHealth()
  const many = Array.from({ length: MAX_REPORTED_TARGETS + 5 }, (_, index) => report(`r${index}`, 'ok'))
  takeReports(health, { reports: many, conditions: undefined }, NOW)
  assert.equal(health.targets.size, MAX_REPORTED_TARGETS)
  takeReports(
    health,
    { reports: [report('r0', 'failing'), report('r1', 'gone'), report('new', 'ok')], conditions: undefined },
    NOW,
  )
  assert.equal(health.targets.size, MAX_REPORTED_TARGETS)
  assert.equal(health.targets.get('r0')?.state, 'failing')
  assert.equal(health.targets.get('new')?.state, 'ok')
})

test('what an agent tells of itself stays until it tells it anew, and says nothing of its targets', () => {
  const health = createHealth()
  takeReports(health, { reports: [], conditions: [{ state: 'failing', code: 'PAUSED', ageMs: 7 }] }, NOW)
  takeReports(health, { reports: [report('db', 'ok')], conditions: undefined }, NOW)
  assert.deepEqual(health.conditions, [{ state: 'failing', code: 'PAUSED', since: NOW - 7 }])
  takeReports(health, { reports: [], conditions: [] }, NOW)
  assert.deepEqual(health.conditions, [])
})

test('doubt is least where the target is well and greatest where there is no rule', () => {
  const health = createHealth()
  assert.equal(doubtOf(health, 'db'), 1, 'an agent that reports nothing')
  const states = ['ok', 'warn', 'unasked', 'unknown', 'failing'] as const
  const reports = states.map((state) => report(state, state))
  takeReports(health, { reports, conditions: undefined }, NOW)
  assert.deepEqual(
    [...states, 'absent'].map((name) => doubtOf(health, name)),
    [0, 0, 0, 1, 2, 3],
  )
})

test('an agent with more rules than it may report is not taken for one without this rule', () => {
  const health = createHealth()
  const many = Array.from({ length: MAX_REPORTED_TARGETS }, (_, index) => report(`r${index}`, 'ok'))
  takeReports(health, { reports: many, conditions: undefined }, NOW)
  assert.equal(doubtOf(health, 'absent'), 1)
})

test('a stream goes where the target is well, to any of those; where all fail to one by chance', () => {
  const session = (state: HealthReport['state']) => {
    const health = createHealth()
    takeReports(health, { reports: [report('db', state)], conditions: undefined }, NOW)
    return { health }
  }
  const [ok, warn, failing, other] = [session('ok'), session('warn'), session('failing'), session('failing')]
  const chance = (value: number) => () => value
  assert.deepEqual(leastDoubted([failing, ok, warn], 'db', chance(0)), [ok, warn])
  assert.deepEqual(leastDoubted([failing, other], 'db', chance(0)), [failing])
  assert.deepEqual(leastDoubted([failing, other], 'db', chance(0.99)), [other])
  assert.deepEqual(leastDoubted([], 'db', chance(0.5)), [])
})
