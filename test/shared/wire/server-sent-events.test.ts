import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ServerSentEvent, serverSentEvents } from '../../../shared/wire/server-sent-events.ts'

async function* inTurn(chunks: readonly Uint8Array[]) {
  yield* chunks
}

async function eventsOf(chunks: readonly Uint8Array[]): Promise<readonly ServerSentEvent[]> {
  const events: ServerSentEvent[] = []
  for await (const event of serverSentEvents(inTurn(chunks))) events.push(event)
  return events
}

const STREAM = Buffer.from(
  'retry: 2000\nid: 4\n\n: alive\n\nid: 5\ndata: {"a":"ä€"}\n\ndata:two\r\ndata: lines\r\n\r\nid: 6\ndata: cut',
)

const EVENTS = [
  { id: '4', data: '' },
  { id: '5', data: '{"a":"ä€"}' },
  { id: '5', data: 'two\nlines' },
]

test('events are the same wherever the bytes are cut, and one that is not whole is none', async () => {
  assert.deepEqual(await eventsOf([STREAM]), EVENTS)
  for (let at = 1; at < STREAM.length; at++) {
    assert.deepEqual(await eventsOf([STREAM.subarray(0, at), STREAM.subarray(at)]), EVENTS, `cut at ${at}`)
  }
})

test('an event without an end is refused before it fills the memory', async () => {
  await assert.rejects(eventsOf(Array.from({ length: 20 }, () => Buffer.alloc(65_536, 'x'))), {
    code: 'PROTOCOL',
  })
})
