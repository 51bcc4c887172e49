import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRelayNumbers } from '../../agent/relay-numbers.ts'

test('the numbers of a relay stay known where its name has no answer any more, and of several all count', async () => {
  const answers = new Map([
    ['a.example', ['192.0.2.1', '2001:db8::1']],
    ['b.example', ['192.0.2.2']],
  ])
  const numbers = createRelayNumbers(async (host) => {
    const answer = answers.get(host)
    if (answer === undefined) throw new Error('ENOTFOUND')
    return answer
  })
  assert.equal(numbers.isKnown, false)
  await numbers.learn([
    { host: 'a.example', port: 1 },
    { host: 'b.example', port: 2 },
    { host: 'c.example', port: 3 },
  ])
  assert.equal(numbers.isKnown, true)
  answers.delete('a.example')
  answers.set('b.example', ['192.0.2.3'])
  await numbers.learn([
    { host: 'a.example', port: 1 },
    { host: 'b.example', port: 2 },
  ])
  assert.deepEqual(numbers.all(), ['192.0.2.1', '2001:db8::1', '192.0.2.3'])
})
