import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from 'cborg'
import {
  decodeHealth,
  encodeConditions,
  encodeHealth,
  type HealthReport,
  MAX_HEALTH_TEXT,
  MAX_REPORTED_TARGETS,
} from '../../../shared/handshake/health.ts'
import { encodeMap } from '../../../shared/handshake/hello.ts'
import { MAX_META_BYTES } from '../../../shared/mux/frame.ts'

const REPORT: HealthReport = {
  resource: 'db',
  state: 'failing',
  code: 'CONNECTION_REFUSED',
  ageMs: 5,
  text: 'x',
}

test('reports come back as they went', () => {
  const reports = [REPORT, { resource: 'web', state: 'ok', ageMs: 0 }] as const
  const notices = encodeHealth(reports)
  assert.equal(notices.length, 1)
  assert.deepEqual(
    notices.flatMap((notice) => decodeHealth(notice).reports),
    reports,
  )
})

test('as many as there may be fit into NOTICEs of their size, each once', () => {
  const reports = Array.from({ length: MAX_REPORTED_TARGETS }, (_, index) => ({
    ...REPORT,
    resource: `${'r'.repeat(58)}-${1_000 + index}`,
    text: 'x'.repeat(MAX_HEALTH_TEXT),
  }))
  const notices = encodeHealth(reports)
  assert.ok(notices.every((notice) => notice.length <= MAX_META_BYTES))
  assert.ok(notices.length <= 40, `${notices.length} notices`)
  assert.deepEqual(
    notices.flatMap((notice) => decodeHealth(notice).reports),
    reports,
  )
  assert.deepEqual(encodeHealth([]), [])
})

test('a NOTICE of something else holds no reports', () => {
  assert.deepEqual(decodeHealth(encodeMap({ weather: 'fair' })), { reports: [], conditions: undefined })
})

test('states and codes of a later version are taken for what is known of them', () => {
  const {
    reports: [report],
  } = decodeHealth(encodeMap({ health: [{ ...REPORT, state: 'dizzy', code: 60_000, later: 1 }] }))
  assert.deepEqual([report?.state, report?.code], ['unknown', 'INTERNAL'])
})

test('what is not right is refused whole', () => {
  const wrong: object[] = [
    { resource: 'berlin/db' },
    { resource: '../db' },
    { resource: 'x'.repeat(64) },
    { ageMs: -1 },
    { ageMs: 0.5 },
    { code: 'DNS' },
    { state: 'x'.repeat(17) },
    { text: 'x'.repeat(MAX_HEALTH_TEXT + 1) },
    { text: '\u001b[31m' },
    { text: 'a\nb' },
    { text: '\u202e' },
  ]
  for (const change of wrong) {
    const notice = encode({ health: [{ resource: 'db', state: 'ok', ageMs: 0, ...change }] })
    assert.throws(() => decodeHealth(notice), { code: 'PROTOCOL' }, JSON.stringify(change))
  }
  assert.throws(() => decodeHealth(encodeMap({ health: {} })), { code: 'PROTOCOL' })
  assert.throws(() => decodeHealth(Uint8Array.of(0xff)), { code: 'PROTOCOL' })
})

test('what an agent tells of itself comes through, and eight of it at most', () => {
  const conditions = [
    { state: 'failing', code: 'PAUSED', ageMs: 5 },
    { state: 'warn', code: 'POLICY', ageMs: 0 },
  ] as const
  assert.deepEqual(decodeHealth(encodeConditions(conditions)), { reports: [], conditions })
  assert.deepEqual(decodeHealth(encodeConditions([])).conditions, [])
  const many = Array.from({ length: 9 }, () => conditions[0])
  assert.throws(() => decodeHealth(encodeConditions(many)), { code: 'PROTOCOL' })
})
