import assert from 'node:assert/strict'
import { test } from 'node:test'
import { INTERVAL_MS, MAX_PROBES, ProbeSchedule } from '../../../agent/health/schedule.ts'
import { makeRule } from '../../../agent/rules/parse.ts'
import { MAX_REPORTED_TARGETS } from '../../../shared/handshake/health.ts'
import type { Rule } from '../../../shared/policy/rule.ts'

/** Time and chance as the test wants them. */
function clock(random = 0.5) {
  const time = { ms: 1_000 }
  return { time, effects: { now: () => time.ms, random: () => random } }
}

const rule = (resource: string, more: object = {}) =>
  makeRule(resource, { protocol: 'tcp', host: 'a', port: 9_000, ...more })
const rules = (...all: Rule[]) => new Map(all.map((one) => [one.resource, one]))

function takeAll(schedule: ProbeSchedule): string[] {
  const names: string[] = []
  for (let next = schedule.take(); next !== undefined; next = schedule.take()) names.push(next.resource)
  return names
}

test('what is new is due at once, four at a time, and no rule twice', () => {
  const { time, effects } = clock()
  const schedule = new ProbeSchedule(effects)
  const all = Array.from({ length: 6 }, (_, index) => rule(`r${index}`))
  assert.deepEqual(schedule.follow(rules(...all)), ['r0', 'r1', 'r2', 'r3', 'r4', 'r5'])
  assert.equal(schedule.deadline, time.ms)
  assert.deepEqual(takeAll(schedule), ['r0', 'r1', 'r2', 'r3'])
  assert.equal(MAX_PROBES, 4)
  assert.equal(schedule.deadline, Number.POSITIVE_INFINITY)
  schedule.finished(all[1] as Rule, true)
  assert.deepEqual(takeAll(schedule), ['r4'])
})

test('a probe follows after 30 s, a fifth more or less', () => {
  for (const [random, ms] of [
    [0, 24_000],
    [0.5, 30_000],
    [0.999_999, 36_000],
  ] as const) {
    const { time, effects } = clock(random)
    const schedule = new ProbeSchedule(effects)
    schedule.follow(rules(rule('a')))
    schedule.finished(schedule.take() as Rule, true)
    assert.equal(Math.round(schedule.deadline - time.ms), ms)
  }
})

/** Pauses between probes while every answer is `isWell`. */
function pauses(one: Rule, count: number, isWell = true): number[] {
  const { time, effects } = clock()
  const schedule = new ProbeSchedule(effects)
  schedule.follow(rules(one))
  return Array.from({ length: count }, () => {
    const taken = schedule.take()
    assert.ok(taken !== undefined)
    schedule.finished(taken, isWell)
    const pause = schedule.deadline - time.ms
    time.ms = schedule.deadline
    return pause / 1_000
  })
}

test('a target that stays well is asked less often', () => {
  assert.deepEqual(pauses(rule('a'), 4), [30, 60, 120, 120])
})

test('a target that fails is asked again soon, then every 30 s', () => {
  assert.deepEqual(pauses(rule('a'), 5, false), [5, 10, 20, 30, 30])
})

test('a MySQL that fails is asked like any other', () => {
  assert.deepEqual(pauses(rule('a', { port: 3306 }), 5, false), [5, 10, 20, 30, 30])
})

test('a MySQL that is well is asked a dozen times on its first day, then once a day', () => {
  const seconds = pauses(rule('a', { port: 3306 }), 30)
  const after = (count: number) => seconds.slice(0, count).reduce((sum, pause) => sum + pause, 0)
  assert.ok(after(12) > 86_400, `12 probes in ${after(12)} s`)
  assert.equal(seconds.at(-1), 86_400)
})

test('a rule that says none is known and never due', () => {
  const { effects } = clock()
  const schedule = new ProbeSchedule(effects)
  assert.deepEqual(schedule.follow(rules(rule('a', { probe: 'none' }))), ['a'])
  schedule.hurry('a')
  assert.equal(schedule.take(), undefined)
  assert.equal(schedule.deadline, Number.POSITIVE_INFINITY)
})

test('a rule that was read again unchanged keeps its turn; one that changed is due, and its old answer means nothing', () => {
  const { time, effects } = clock()
  const schedule = new ProbeSchedule(effects)
  schedule.follow(rules(rule('a'), rule('b')))
  takeAll(schedule)
  const [a, b] = schedule.rules() as [Rule, Rule]
  schedule.finished(a, true)
  time.ms += 1
  assert.deepEqual(schedule.follow(rules(rule('a'), rule('b', { port: 1 }))), ['b'])
  assert.deepEqual(takeAll(schedule), ['b'])
  assert.equal(schedule.finished(b, true), false)
  assert.equal(schedule.deadline, 1_000 + INTERVAL_MS)
  assert.equal(schedule.finished(rule('gone'), true), false)
})

test('news of another kind brings the next probe forward, but not within two seconds of the last', () => {
  const { time, effects } = clock()
  const schedule = new ProbeSchedule(effects)
  schedule.follow(rules(rule('a')))
  schedule.finished(schedule.take() as Rule, true)
  time.ms += 1_000
  schedule.hurry('a')
  assert.equal(schedule.deadline, 3_000)
  time.ms = 20_000
  schedule.hurry('a')
  assert.equal(schedule.deadline, 3_000, 'an earlier turn stays')
})

test('of more rules than are reported the first are asked', () => {
  const schedule = new ProbeSchedule(clock().effects)
  const many = Array.from({ length: MAX_REPORTED_TARGETS + 1 }, (_, index) => rule(`r${index}`))
  schedule.follow(rules(...many))
  assert.equal(schedule.rules().length, MAX_REPORTED_TARGETS)
  assert.equal(schedule.ruleOf(`r${MAX_REPORTED_TARGETS}`), undefined)
})
