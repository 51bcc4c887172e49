import assert from 'node:assert/strict'
import net from 'node:net'
import { it } from 'node:test'
import { Secret } from '../../../shared/secret.ts'
import { dialRelay } from '../../../shared/tunnel/dial-relay.ts'

it('a relay whose certificate bears an IPv6 address can be dialled', async () => {
  const server = net.createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  const identity = { serverName: '2001:db8::1', ca: '', certificate: '', key: new Secret('') }
  const dialled = dialRelay(
    { host: '127.0.0.1', port },
    '/v1/agent',
    identity,
    new AbortController().signal,
  ).finally(() => server.close())
  // The address stands in brackets in the URL; without them nothing is dialled at all.
  await assert.rejects(dialled, { code: 'RELAY_UNREACHABLE' })
})
