import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatResourceName, isName, parseResourceName } from '../../../shared/identity/names.ts'
import {
  formatRelayAddress,
  isServerName,
  parseRelayAddress,
} from '../../../shared/identity/relay-address.ts'

test('a name is a label of a-z, 0-9 and hyphen', () => {
  for (const name of ['a', '0', 'berlin-2', 'x'.repeat(63)]) assert.equal(isName(name), true, name)
  for (const name of ['', '-a', 'A', 'a_b', 'a.b', 'x'.repeat(64), 'a\n', 'ä'])
    assert.equal(isName(name), false, name)
})

test('a resource is named by site and resource', () => {
  assert.deepEqual(parseResourceName('berlin/db'), { site: 'berlin', resource: 'db' })
  assert.equal(formatResourceName({ site: 'berlin', resource: 'db' }), 'berlin/db')
  for (const text of ['berlin', 'berlin/', '/db', 'a/b/c', 'Berlin/db', 'a/*']) {
    assert.throws(() => parseResourceName(text), { code: 'CONFIG' }, text)
  }
})

test('relay addresses are read and written back the same', () => {
  for (const text of ['relay.example.org:443', '192.0.2.1:8443', '[2001:db8::1]:443', 'localhost:1']) {
    assert.equal(formatRelayAddress(parseRelayAddress(text)), text)
  }
})

test('what is no relay address is refused', () => {
  const wrong = [
    '',
    'relay',
    'relay:0',
    'relay:65536',
    'relay:080',
    'Relay:443',
    'user@relay:443',
    '2001:db8::1:443',
    '[relay]:443',
    '[::1%eth0]:443',
    '127.1:443',
    '0x7f.1:443',
    '2130706433:443',
    'a..b:443',
    'a.:443',
    '-a:443',
    'relay:443/x',
    ' relay:443',
    `${'a'.repeat(300)}:443`,
  ]
  for (const text of wrong) assert.throws(() => parseRelayAddress(text), { code: 'CONFIG' }, text)
})

test('a server name is a DNS name or an address', () => {
  for (const name of ['localhost', 'relay.example.org', '192.0.2.1', '::1'])
    assert.equal(isServerName(name), true)
  for (const name of ['', '*.example.org', 'Relay', 'a b', 'fe80::1%eth0', '127.1']) {
    assert.equal(isServerName(name), false, name)
  }
})
