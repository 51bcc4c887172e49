import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CSV_HEAD, parseTime, recordCsv, recordJson, recordLine } from '../../../relay/audit/format.ts'
import { linkRecord } from '../../../relay/audit/record.ts'
import { CHAIN_START } from '../../../shared/audit/chain.ts'
import { streamClosed } from './audit-fixture.ts'

const PLACE = { seq: 1, time: Date.UTC(2026, 10, 22), before: CHAIN_START }

test('S36: a record is one line of JSON, of CSV and of text, whatever names the outside chose', () => {
  const evil = 'x",y\r\n2,forged\u001b]0;t\u0007\u2028\u202e'
  const record = linkRecord(streamClosed(evil, { detail: evil, source: evil }), PLACE)
  const json = JSON.stringify(recordJson(record))
  for (const line of [json, recordCsv(recordJson(record)), recordLine(recordJson(record))]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/)
  }
  assert.equal(JSON.parse(json).object, record.object)
  const cells = recordCsv(recordJson(record)).match(/"(?:[^"]|"")*"|[^,]+|(?<=,)(?=,)/g) ?? []
  assert.equal(cells.length, CSV_HEAD.split(',').length)
})

test('a text that a spreadsheet would run is written as a text', () => {
  for (const formula of ['=cmd|1', '+1', '-1', '@x']) {
    const line = recordCsv(recordJson(linkRecord(streamClosed('x', { detail: formula }), PLACE)))
    assert.ok(line.includes(`,'${formula},`), line)
  }
})

test('a time is a date, or a date and time with its zone', () => {
  assert.equal(parseTime('2026-11-22'), Date.UTC(2026, 10, 22))
  assert.equal(parseTime('2026-11-22T13:00:00Z'), Date.UTC(2026, 10, 22, 13))
  assert.equal(parseTime('2026-11-22T13:00+01:00'), Date.UTC(2026, 10, 22, 12))
  for (const wrong of ['', 'now', '22.11.2026', '2026-13-01', '2026-11-22T13:00:00', '2026-11-22 13:00Z']) {
    assert.throws(() => parseTime(wrong), { code: 'CONFIG' }, wrong)
  }
})
