import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { atTurnEnd } from '../../../shared/tunnel/turn-end.ts'

it('what is due at the end of a turn runs in the order of the calls, and what that makes due in the next', async () => {
  const ran: string[] = []
  atTurnEnd(() => {
    ran.push('first')
    atTurnEnd(() => ran.push('third'))
  })
  atTurnEnd(() => ran.push('second'))
  assert.deepEqual(ran, [])
  await setImmediate()
  assert.deepEqual(ran, ['first', 'second'])
  await setImmediate()
  assert.deepEqual(ran, ['first', 'second', 'third'])
})

it('an action that throws takes the turn of no other', async (t) => {
  const fault = new Error('a bug')
  const seen = new Promise((resolve) => t.mock.method(process, 'emit', heard(resolve)))
  let ran = false
  atTurnEnd(() => {
    throw fault
  })
  atTurnEnd(() => {
    ran = true
  })
  assert.equal(await seen, fault)
  await setImmediate()
  assert.equal(ran, true)
})

/** Stands in for `process.emit`: what nobody catches would fail the test before it has looked. */
function heard(resolve: (error: unknown) => void) {
  return (event: string, error: unknown) => {
    if (event === 'uncaughtException') resolve(error)
    return true
  }
}
