import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expiredDays } from '../../../relay/backup/retention.ts'

const DAY_MS = 86_400_000

function days(count: number, last = '2026-11-22'): readonly string[] {
  return Array.from({ length: count }, (_, i) =>
    new Date(Date.parse(last) - i * DAY_MS).toISOString().slice(0, 10),
  )
}

test('fourteen days, twelve weeks and twelve months are kept of a year and a half', () => {
  const all = days(550)
  const expired = new Set(expiredDays(all))
  const kept = all.filter((day) => !expired.has(day))
  assert.deepEqual(kept.slice(0, 14), days(14))
  // Of each week its last day, twelve weeks back.
  assert.ok(kept.includes('2026-09-06'))
  assert.ok(!kept.includes('2026-08-30'))
  // Of each month its last day, twelve months back.
  assert.deepEqual(kept.slice(-3), ['2026-02-28', '2026-01-31', '2025-12-31'])
  assert.equal(kept.length, 14 + 10 + 11)
})

test('as days pass one by one, what is kept never loses a span that it needs', () => {
  let kept: readonly string[] = []
  for (const day of [...days(400)].reverse()) {
    const all = [...kept, day]
    const expired = new Set(expiredDays(all))
    kept = all.filter((one) => !expired.has(one))
    assert.ok(kept.includes(day))
  }
  assert.equal(kept.length, 14 + 10 + 11)
})

test('days without a backup do not count: nothing goes while a relay is off', () => {
  const old = ['2020-01-01', '2020-01-02', '2020-03-01']
  assert.deepEqual(expiredDays([...old, '2026-11-22']), [])
})
