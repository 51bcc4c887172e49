import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advisoryLines, outdatedLines, report } from '../../build/advisories.ts'

/** As `npm audit --json` writes it (report version 2): a fault, and a package that only brings the one with the fault. */
const AUDIT = JSON.stringify({
  auditReportVersion: 2,
  vulnerabilities: {
    ws: {
      ...{ name: 'ws', severity: 'high', isDirect: true, range: '8.0.0 - 8.21.0', nodes: [] },
      via: [{ source: 1, title: 'DoS by tiny fragments', url: 'https://example.com/1', severity: 'high' }],
    },
    holder: { name: 'holder', severity: 'high', isDirect: true, range: '*', via: ['ws'], nodes: [] },
  },
})

test('a fault is named once, with the versions that have it, and is urgent', () => {
  const lines = advisoryLines(AUDIT)
  assert.deepEqual(lines, ['high: ws 8.0.0 - 8.21.0: DoS by tiny fragments (https://example.com/1)'])
  assert.equal(report(lines, []).isUrgent, true)
})

test('a newer version is named and not urgent', () => {
  const lines = outdatedLines('{"ws":{"current":"8.23.0","wanted":"8.23.0","latest":"9.0.0"}}')
  assert.deepEqual(lines, ['ws 8.23.0, newest 9.0.0'])
  assert.equal(report([], lines).isUrgent, false)
})

test('a registry that does not answer is said, and nothing is made of it', () => {
  for (const answer of ['', '{"message":"405 Method Not Allowed","error":{}}', 'null']) {
    assert.equal(advisoryLines(answer), undefined)
    const { text, isUrgent } = report(advisoryLines(answer), [])
    assert.match(text, /known fault: NOT ASKED/)
    assert.equal(isUrgent, false)
  }
})
