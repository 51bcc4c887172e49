import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressContext } from '../../../agent/dial/address-context.ts'

test('the context holds the canonical addresses of interfaces and relays', () => {
  const entry = (address: string) => ({ address, netmask: '', mac: '', internal: false, cidr: null })
  const context = addressContext(['::ffff:1.2.3.4', 'relay.example'], {
    eth0: [
      { ...entry('10.0.0.1'), family: 'IPv4' },
      { ...entry('FE80::1'), family: 'IPv6', scopeid: 2 },
    ],
  })
  assert.deepEqual(context, { own: new Set(['10.0.0.1', 'fe80::1']), relay: new Set(['1.2.3.4']) })
})
