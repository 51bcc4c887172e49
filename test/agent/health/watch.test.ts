import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProbeResult } from '../../../agent/health/probe.ts'
import { HealthWatch } from '../../../agent/health/watch.ts'
import { makeRule } from '../../../agent/rules/parse.ts'
import { TunnelError } from '../../../shared/errors.ts'
import type { Rule } from '../../../shared/policy/rule.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { recordLog } from '../../support/recorded-log.ts'

const rule = (resource: string, more: object = {}) =>
  makeRule(resource, { protocol: 'tcp', host: 'db.corp', port: 5_432, ...more })
const rules = (...all: Rule[]) => new Map(all.map((one) => [one.resource, one]))

const WELL: ProbeResult = {
  kind: 'postgres',
  state: 'ok',
  note: 'PostgreSQL',
  detail: '10.0.0.5:5432: PostgreSQL',
  ms: 1,
}
const REFUSED: ProbeResult = {
  ...WELL,
  state: 'failing',
  code: 'CONNECTION_REFUSED',
  note: '',
  detail: '10.0.0.5:5432: ECONNREFUSED',
}

/** A watch whose targets answer what the test puts there. */
function watched() {
  const effects = new FakeEffects()
  const answers = new Map<string, ProbeResult | Error>()
  const asked: string[] = []
  const changes: string[][] = []
  const recorded = recordLog()
  const watch = new HealthWatch({
    effects,
    log: recorded.log,
    probe: async ({ resource }) => {
      asked.push(resource)
      const answer = answers.get(resource) ?? WELL
      if (answer instanceof Error) throw answer
      return answer
    },
    onChange: (resources) => changes.push([...resources]),
  })
  return { effects, answers, asked, changes, watch, recorded }
}

test('a target is unknown until it was asked, then what it answers, since it does', async () => {
  const { effects, watch, changes } = watched()
  const began = effects.date()
  watch.follow(rules(rule('db'), rule('quiet', { probe: 'none' })))
  assert.deepEqual(
    watch.list().map(({ state }) => state),
    ['unknown', 'unasked'],
  )
  await effects.elapse(1)
  assert.deepEqual(watch.list(), [
    {
      resource: 'db',
      probe: 'postgres',
      state: 'ok',
      detail: '10.0.0.5:5432: PostgreSQL',
      since: began,
      askedAt: began,
    },
    { resource: 'quiet', probe: 'none', state: 'unasked', detail: '', since: began },
  ])
  assert.deepEqual(changes, [['db', 'quiet'], ['db']])
})

test('a target that fails is told once, and since when', async () => {
  const { effects, answers, watch, changes } = watched()
  watch.follow(rules(rule('db')))
  await effects.elapse(1)
  answers.set('db', REFUSED)
  await effects.elapse(200_000)
  const since = watch.failingSince('db')
  assert.ok(since !== undefined && since < effects.date() - 30_000)
  assert.equal(changes.length, 3)
  answers.set('db', WELL)
  await effects.elapse(40_000)
  assert.equal(watch.failingSince('db'), undefined)
})

test('what is reported bears no address and no word of the target, unless the rule says detail', async () => {
  const { effects, answers, watch } = watched()
  answers.set('db', REFUSED)
  answers.set('open', REFUSED)
  answers.set('mail', {
    ...WELL,
    state: 'warn',
    note: 'TLS, a certificate ends on 2027-01-09',
    detail: 'mx1.corp',
  })
  watch.follow(
    rules(rule('db'), rule('open', { detail: true }), rule('mail'), rule('well', { detail: true })),
  )
  await effects.elapse(1_000)
  assert.deepEqual(watch.reports(['db', 'open', 'mail', 'well', 'never']), [
    { resource: 'db', state: 'failing', code: 'CONNECTION_REFUSED', ageMs: 1_000 },
    { resource: 'open', state: 'failing', code: 'CONNECTION_REFUSED', ageMs: 1_000, text: REFUSED.detail },
    { resource: 'mail', state: 'warn', ageMs: 1_000, text: 'TLS, a certificate ends on 2027-01-09' },
    { resource: 'well', state: 'ok', ageMs: 1_000 },
    { resource: 'never', state: 'gone', ageMs: 0 },
  ])
})

test('a stream that cannot dial its target says what a probe would, before the next one', async () => {
  const { effects, watch, asked } = watched()
  watch.follow(rules(rule('db')))
  await effects.elapse(10_000)
  watch.dialled('db', new TunnelError('UNREACHABLE', '10.0.0.5:5432: EHOSTUNREACH'))
  const [target] = watch.list()
  assert.deepEqual([target?.state, target?.code], ['failing', 'UNREACHABLE'])
  await effects.elapse(1)
  assert.equal(asked.length, 2)
  assert.equal(watch.list()[0]?.state, 'ok')
})

test('what a stream says of a target that is never asked is not kept: nothing would take it back', async () => {
  const { effects, watch } = watched()
  watch.follow(rules(rule('quiet', { probe: 'none' })))
  await effects.elapse(1)
  watch.dialled('quiet', new TunnelError('CONNECTION_REFUSED'))
  assert.equal(watch.list()[0]?.state, 'unasked')
})

test('the words of a failed dial are made harmless like those of a target', async () => {
  const { effects, watch } = watched()
  watch.follow(rules(rule('db', { detail: true })))
  await effects.elapse(1)
  watch.dialled('db', new TunnelError('DNS', `d\u00e4\u001b[31m${'x'.repeat(300)}`))
  const [report] = watch.reports()
  assert.match(report?.text ?? '', /^d\?\?\[31mx+$/)
  assert.equal(report?.text?.length, 120)
})

test('a stream that was given up or overloaded us says nothing of the target', async () => {
  const { effects, watch } = watched()
  watch.follow(rules(rule('db')))
  await effects.elapse(1)
  for (const code of ['CANCELLED', 'OVERLOADED'] as const) watch.dialled('db', new TunnelError(code))
  watch.dialled('db', new Error('a fault'))
  watch.dialled('unknown', new TunnelError('DNS'))
  assert.equal(watch.list()[0]?.state, 'ok')
})

test('a stream that reaches a failing target has it asked soon', async () => {
  const { effects, answers, watch, asked } = watched()
  answers.set('db', REFUSED)
  watch.follow(rules(rule('db')))
  await effects.elapse(60_000)
  for (const before = asked.length; asked.length === before; ) await effects.elapse(100)
  answers.set('db', WELL)
  watch.dialled('db')
  assert.equal(watch.list()[0]?.state, 'failing', 'to connect is not to answer')
  await effects.elapse(2_000)
  assert.equal(watch.list()[0]?.state, 'ok')
})

test('a pause asks nobody and puts every target out of reach; its end asks all', async () => {
  const { effects, watch, asked } = watched()
  watch.follow(rules(rule('db')))
  await effects.elapse(1)
  watch.pause(true)
  await effects.elapse(300_000)
  assert.equal(asked.length, 1)
  assert.deepEqual(watch.reports(), [{ resource: 'db', state: 'failing', code: 'PAUSED', ageMs: 300_000 }])
  watch.pause(false)
  assert.equal(watch.list()[0]?.state, 'unknown')
  await effects.elapse(1)
  assert.equal(watch.list()[0]?.state, 'ok')
})

test('a rule that goes takes its target along, and one that changes is unknown again', async () => {
  const { effects, watch, changes } = watched()
  watch.follow(rules(rule('a'), rule('b')))
  await effects.elapse(1)
  changes.length = 0
  watch.follow(rules(rule('b', { port: 5_433 })))
  assert.deepEqual(changes, [['b', 'a']])
  assert.deepEqual(
    watch.list().map(({ resource, state }) => [resource, state]),
    [['b', 'unknown']],
  )
  watch.follow(rules(rule('b', { port: 5_433 })))
  assert.equal(changes.length, 1)
})

test('a fault of our own is logged, leaves what was known, and the target is asked again', async () => {
  const { effects, answers, watch, asked, recorded } = watched()
  watch.follow(rules(rule('db')))
  await effects.elapse(1)
  answers.set('db', new Error('a fault'))
  await effects.elapse(80_000)
  await recorded.until('probe failed')
  assert.equal(watch.list()[0]?.state, 'ok')
  const before = asked.length
  await effects.elapse(40_000)
  assert.ok(asked.length > before)
})

test('what is disposed asks no more and leaves no timer', async () => {
  const { effects, watch, asked } = watched()
  watch.follow(rules(rule('db')))
  watch[Symbol.dispose]()
  await effects.elapse(100_000)
  assert.deepEqual(asked, [])
  assert.equal(effects.timerCount, 0)
})
