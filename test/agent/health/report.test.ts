import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HealthReporter } from '../../../agent/health/report.ts'
import { type AgentCondition, decodeHealth, type HealthReport } from '../../../shared/handshake/health.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

/** A reporter of targets that are well, and a session that keeps what it is sent. */
function reporting(names: readonly string[]) {
  const effects = new FakeEffects()
  const text = 'x'.repeat(120)
  const conditions: AgentCondition[] = []
  const reports = (resources: Iterable<string> = names): HealthReport[] =>
    [...resources].map((resource) => ({ resource, state: 'warn', ageMs: 0, text }))
  const reporter = new HealthReporter({ effects, reports, conditions: () => conditions })
  const session = () => {
    const sent: { at: number; names: string[] }[] = []
    const sendNotice = (meta: Uint8Array) =>
      sent.push({ at: effects.now(), names: decodeHealth(meta).reports.map(({ resource }) => resource) })
    return { sent, sendNotice }
  }
  return { effects, reporter, session, conditions }
}

test('a session hears of every target when it begins, and of changes until it ends', () => {
  const { effects, reporter, session } = reporting(['a', 'b'])
  const one = session()
  const other = session()
  reporter.begin(one)
  assert.deepEqual(
    one.sent.map(({ names }) => names),
    [['a', 'b']],
  )
  reporter.begin(other)
  reporter.changed(['b'])
  effects.advance(0)
  assert.deepEqual(
    other.sent.map(({ names }) => names),
    [['a', 'b'], ['b']],
  )
  reporter.end(one)
  reporter.changed(['a'])
  effects.advance(1_000)
  assert.equal(one.sent.length, 2)
  assert.equal(other.sent.length, 3)
})

test('what holds for the whole agent is told where there is no target too, when it begins and when it is over', () => {
  const { effects, reporter, conditions } = reporting([])
  const told: unknown[] = []
  const sendNotice = (meta: Uint8Array) => told.push(decodeHealth(meta).conditions)
  reporter.begin({ sendNotice })
  assert.deepEqual(told, [])
  conditions.push({ state: 'failing', code: 'PAUSED', ageMs: 5 })
  reporter.conditionChanged()
  effects.advance(1_000)
  reporter.begin({ sendNotice })
  reporter.end({ sendNotice })
  assert.deepEqual(told, [conditions, conditions])
  conditions.pop()
  reporter.conditionChanged()
  effects.advance(1_000)
  assert.deepEqual(told[2], [])
})

test('changes in quick succession go out together, once a second', () => {
  const { effects, reporter, session } = reporting([])
  const one = session()
  reporter.begin(one)
  for (let round = 0; round < 40; round++) {
    reporter.changed(['a', `r${round % 3}`])
    effects.advance(100)
  }
  assert.ok(one.sent.length <= 5, `${one.sent.length}`)
  assert.deepEqual(one.sent[1]?.names.sort(), ['a', 'r0', 'r1', 'r2'])
})

test('a thousand changes at once are spread below what a relay takes', () => {
  const names = Array.from({ length: 1_000 }, (_, index) => `r${index}-${'x'.repeat(50)}`)
  const { effects, reporter, session } = reporting(names)
  const one = session()
  reporter.begin(one)
  const atStart = one.sent.length
  assert.ok(atStart <= 60, `${atStart} at the start`)
  reporter.changed(names)
  effects.advance(60_000)
  const changes = one.sent.slice(atStart)
  assert.deepEqual(
    changes.flatMap((notice) => notice.names),
    names,
  )
  for (const { at } of changes) assert.ok(changes.filter((notice) => notice.at === at).length <= 5)
})
