import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guardedAddresses, parseTarget } from '../../../../relay/audit/delivery/target.ts'
import { LOOPBACK } from './delivery-fixture.ts'

test('a target is an https URL, or host and port', () => {
  const parsed = parseTarget({ kind: 'webhook', target: 'https://hooks.example.org/a/b?c=1' })
  assert.deepEqual(parsed, { host: 'hooks.example.org', port: 443, path: '/a/b?c=1' })
  assert.deepEqual(parseTarget({ kind: 'syslog', target: '[2001:db8::1]:6514' }), {
    ...{ host: '2001:db8::1', port: 6514, path: '' },
  })
})

test('what is no target is refused by its rule', () => {
  const wrong = [
    ['webhook', 'http://hooks.example.org/'],
    ['webhook', 'https://user:secret@hooks.example.org/'],
    ['webhook', 'https://hooks.example.org/#part'],
    ['webhook', 'file:///etc/passwd'],
    ['webhook', `https://hooks.example.org/${'a'.repeat(3_000)}`],
    ['syslog', 'siem.example.org'],
    ['syslog', 'https://siem.example.org:6514'],
    ['syslog', 'siem.example.org:0'],
  ] as const
  for (const [kind, target] of wrong) {
    assert.throws(() => parseTarget({ kind, target }), { code: 'INPUT', field: 'target' }, target)
  }
})

test('S39: a name that leads inside with one of its addresses is refused as a whole', async () => {
  const ask = async () => [{ address: '203.0.114.5' }, { address: '127.0.0.1' }]
  await assert.rejects(guardedAddresses('hooks.example.org', [], ask), { code: 'DELIVERY' })
  assert.deepEqual(await guardedAddresses('hooks.example.org', LOOPBACK, ask), ['203.0.114.5', '127.0.0.1'])
})
