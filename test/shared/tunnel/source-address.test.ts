import assert from 'node:assert/strict'
import type net from 'node:net'
import { test } from 'node:test'
import { nameSource, sourceAddress } from '../../../shared/tunnel/source-address.ts'

function socket(remoteAddress: string | undefined): net.Socket {
  return { remoteAddress } as net.Socket
}

test('the address of a connection has one form, whatever listener took it', () => {
  const forms = [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:DB8:0:0::7', '2001:db8::7'],
    ['fe80::1%eth0', 'fe80::1'],
    ['64:ff9b::c000:207', '64:ff9b::c000:207'],
    [undefined, 'unknown'],
  ] as const
  for (const [remote, plain] of forms) assert.equal(sourceAddress(socket(remote)), plain)
})

test('what was said of a connection counts, also when it is closed, and for no other', () => {
  const [proxied, other] = [socket('192.0.2.1'), socket('192.0.2.1')]
  nameSource(proxied, '198.51.100.9')
  assert.equal(sourceAddress(proxied), '198.51.100.9')
  assert.equal(sourceAddress(other), '192.0.2.1')
})
