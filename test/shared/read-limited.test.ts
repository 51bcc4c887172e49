import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { readLimited } from '../../shared/read-limited.ts'

const tooLong = () => new Error('too long')

test('a stream is read to its end, at the limit too', async () => {
  const stream = Readable.from([Buffer.from('ab'), Buffer.from('c')])
  assert.equal((await readLimited(stream, 3, tooLong)).toString(), 'abc')
})

test('a stream that goes on beyond the limit is refused and destroyed', async () => {
  const stream = Readable.from([Buffer.from('ab'), Buffer.from('cd'), Buffer.from('ef')])
  await assert.rejects(readLimited(stream, 3, tooLong), /too long/)
  assert.equal(stream.destroyed, true)
})
