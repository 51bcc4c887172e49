import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { aborted, unlessAborted } from '../../shared/abort.ts'

test('an abort resolves once it comes, or came before', async () => {
  const stop = new AbortController()
  const later = aborted(stop.signal)
  stop.abort()
  await later
  await aborted(stop.signal)
})

test('a promise is waited for until the signal aborts, and leaves no listener behind', async () => {
  const stop = new AbortController()
  assert.equal(await unlessAborted(Promise.resolve(7), stop.signal), 7)
  const never = unlessAborted(new Promise(() => undefined), stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(never, /enough/)
  await assert.rejects(unlessAborted(new Promise(() => undefined), stop.signal), /enough/)
  assert.equal(getEventListeners(stop.signal, 'abort').length, 0)
})
