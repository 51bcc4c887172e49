import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { type AuditEvent, linkRecord } from '../../../relay/audit/record.ts'
import { CHAIN_START } from '../../../shared/audit/chain.ts'

const EVENT: AuditEvent = {
  tenantId: 'acme',
  environment: 'test',
  actor: { kind: 'connector', id: 'c1' },
  source: '192.0.2.1',
  action: 'stream.close',
  object: 'hq/db',
  outcome: 'OK',
  traceId: 'ab',
  detail: 'sent 1',
}
const FIRST = { seq: 1, time: 1_000, before: CHAIN_START }

test('the hash is SHA-256 over domain, the hash before and one array in fixed order', () => {
  const { hash } = linkRecord(EVENT, FIRST)
  const bytes =
    '["acme",1,1000,"test","connector","c1","192.0.2.1","stream.close","hq/db","OK","ab","sent 1"]'
  const expected = createHash('sha256')
    .update('sallyport audit record 1\n')
    .update(Buffer.alloc(32))
    .update(bytes)
    .digest()
  assert.deepEqual(Buffer.from(hash), expected)
})

test('every field, the place and the record before change the hash', () => {
  const plain = Buffer.from(linkRecord(EVENT, FIRST).hash).toString('hex')
  const others = [
    linkRecord({ ...EVENT, tenantId: 'acmf' }, FIRST),
    linkRecord({ ...EVENT, environment: 'x' }, FIRST),
    linkRecord({ ...EVENT, actor: { kind: 'agent', id: 'c1' } }, FIRST),
    linkRecord({ ...EVENT, actor: { kind: 'connector', id: 'c2' } }, FIRST),
    linkRecord({ ...EVENT, source: '' }, FIRST),
    linkRecord({ ...EVENT, action: 'stream.open' }, FIRST),
    linkRecord({ ...EVENT, object: 'hq' }, FIRST),
    linkRecord({ ...EVENT, outcome: 'IDLE' }, FIRST),
    linkRecord({ ...EVENT, traceId: 'ac' }, FIRST),
    linkRecord({ ...EVENT, detail: '' }, FIRST),
    linkRecord(EVENT, { ...FIRST, seq: 2 }),
    linkRecord(EVENT, { ...FIRST, time: 1_001 }),
    linkRecord(EVENT, { ...FIRST, before: Buffer.alloc(32, 1) }),
  ].map(({ hash }) => Buffer.from(hash).toString('hex'))
  assert.equal(new Set([plain, ...others]).size, others.length + 1)
})

test('S36: control characters, line ends, direction marks and lone surrogates cannot forge a record', () => {
  const evil = 'a\r\n{"forged":1}\u001b[2Kb\u2028c\u202ed\u0085e\ud800f\u0000"'
  const record = linkRecord(
    { ...EVENT, actor: { kind: 'agent', id: evil }, source: evil, object: evil, traceId: evil, detail: evil },
    FIRST,
  )
  for (const text of [record.actor.id, record.source, record.object, record.detail]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/)
    assert.equal(text.isWellFormed(), true)
  }
  assert.match(record.detail, /a\\u000d\\u000a\{"forged":1\}\\u001b\[2Kb\\u2028c\\u202ed/)
  assert.equal(JSON.stringify(record).split('\n').length, 1)
})

test('long texts are cut and say so', () => {
  const long = 'x'.repeat(1_000_000)
  const record = linkRecord({ ...EVENT, object: long, detail: '\u0000'.repeat(1_000_000) }, FIRST)
  assert.equal(record.object.length, 256)
  assert.ok(record.object.endsWith('…'))
  assert.equal(record.detail.length, 512)
})
