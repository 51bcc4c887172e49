import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, parseDuration } from '../../../shared/config/duration.ts'

const ANY = { min: 0, max: Number.MAX_SAFE_INTEGER }

test('a duration is a number and a unit', () => {
  assert.equal(parseDuration('90s', ANY), 90_000)
  assert.equal(parseDuration('2m', ANY), 120_000)
  assert.equal(parseDuration('7d', ANY), 604_800_000)
  assert.equal(parseDuration('5ms', ANY), 5)
})

test('any other form and a value out of range are refused', () => {
  for (const text of ['', '5', 's', '-1s', '1.5h', '1 h', '1h30m', '1H', '9999999999s']) {
    assert.throws(() => parseDuration(text, ANY), { code: 'CONFIG' }, text)
  }
  assert.throws(() => parseDuration('1m', { min: 120_000, max: 180_000 }), {
    code: 'CONFIG',
    message: /2m to 3m/,
  })
})

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999 }), (ms) => {
      assert.equal(parseDuration(formatDuration(ms), ANY), ms)
    }),
  )
})
