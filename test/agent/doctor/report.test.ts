import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fail, ok } from '../../../agent/doctor/finding.ts'
import { reportLines } from '../../../agent/doctor/report.ts'

const LINES = [
  {
    check: 'dns',
    subject: 'relay.example:8443',
    ...ok('relay.example is 192.0.2.7', { system: { addresses: ['192.0.2.7'] } }),
  },
  {
    check: 'upgrade',
    subject: 'relay.example:8443',
    ...fail(
      'RELAY_UNREACHABLE',
      'something takes Upgrade out of the request',
      'the network team: allow WebSockets',
    ),
  },
  { check: 'agent', ...ok('the agent runs in /secret/place') },
  { check: 'rules', ...fail('POLICY', 'rules.toml names inner.corp', 'mend inner.corp') },
  { check: 'target', subject: 'db', ...fail('DNS', 'db.inner.corp is unknown', 'ask about db.inner.corp') },
]

function report(withTargets: boolean): string {
  return reportLines({
    addresses: [{ host: 'relay.example', port: 8443 }],
    serverName: 'relay.example',
    lines: LINES,
    now: Date.UTC(2027, 0, 2),
    withTargets,
  }).join('\n')
}

test('the report says what to open and what was seen, and names nothing inside the site', () => {
  const text = report(false)
  assert.match(text, /2027-01-02T00:00:00/)
  assert.match(text, /TCP to relay\.example, port 8443 \(now 192\.0\.2\.7\)/)
  assert.match(text, /takes Upgrade out of the request/)
  assert.match(text, /1\. the network team: allow WebSockets/)
  assert.doesNotMatch(text, /inner|secret/)
})

test('the report names the targets where that is wanted', () => {
  assert.match(report(true), /db\.inner\.corp is unknown/)
})

test('no line of the report is longer than a mail may have', () => {
  for (const line of report(true).split('\n')) assert.ok(line.length <= 110, line)
})
