import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deadlines } from '../../../relay/enforcement/deadlines.ts'

test('what ends is due once, when its second is over and not before', () => {
  const deadlines = new Deadlines<string>()
  deadlines.set('a', 1_500)
  deadlines.set('b', 1_200)
  deadlines.set('c', 9_000)
  assert.deepEqual(deadlines.due(1_999), [])
  assert.deepEqual(deadlines.due(2_000).sort(), ['a', 'b'])
  assert.deepEqual(deadlines.due(8_999), [])
  assert.deepEqual(deadlines.due(60_000), ['c'])
  assert.equal(deadlines.size, 0)
})

test('what is put elsewhere or taken out is not due any more, and nothing of it is kept', () => {
  const deadlines = new Deadlines<string>()
  deadlines.set('a', 1_000)
  deadlines.set('a', 5_000)
  deadlines.set('b', 1_000)
  deadlines.delete('b')
  deadlines.set('c', Number.POSITIVE_INFINITY)
  assert.deepEqual(deadlines.due(4_000), [])
  assert.equal(deadlines.size, 1)
  assert.deepEqual(deadlines.due(5_000), ['a'])
})

test('what was added for a second that is past, after the clock was put back, is due', () => {
  const deadlines = new Deadlines<string>()
  deadlines.set('a', 100_000)
  assert.deepEqual(deadlines.due(100_000), ['a'])
  deadlines.set('b', 50_000)
  assert.deepEqual(deadlines.due(50_000), ['b'])
})
