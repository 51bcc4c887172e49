import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import tls from 'node:tls'
import { actAt } from '../support/acts.ts'
import { within } from '../support/deadline.ts'
import { startKit } from '../support/relay-kit.ts'

test('a handshake shows the host that was asked for and none that another tenant publishes', async (t) => {
  const kit = await startKit()
  t.after(() => kit[Symbol.asyncDispose]())
  const { authority } = kit.relay.authority
  const namesFor = async (servername: string | undefined) => {
    const socket = tls.connect({
      ...{ port: kit.port, host: '127.0.0.1', ca: authority.certificate.toString() },
      ...(servername === undefined ? {} : { servername }),
      // What is looked at is the certificate; the name of the relay is an address here.
      checkServerIdentity: () => undefined,
    })
    await within(once(socket, 'secureConnect'), 'TLS')
    const names = socket.getPeerX509Certificate()?.subjectAltName ?? ''
    socket.destroy()
    return names
  }
  const { publications } = kit.relay
  const place = { environment: 'production', site: 'hq' }
  const publish = (tenant: string, address: string) =>
    publications.publish(tenant, { ...place, resource: 'web', kind: 'host', address }, actAt())
  await kit.relay.authority.store.relay.addTenant('other', actAt())
  await publish('default', 'mine.example')
  await publish('other', 'secret.example')
  assert.equal(await namesFor('mine.example'), 'DNS:mine.example')
  assert.equal(await namesFor('SECRET.example'), 'DNS:secret.example')
  for (const name of [undefined, 'unknown.example']) {
    const names = await namesFor(name)
    assert.match(names, /IP Address:127\.0\.0\.1/)
    assert.doesNotMatch(names, /mine|secret/)
  }
  await publications.unpublish({ ...place, tenantId: 'other' }, 'web', actAt())
  assert.doesNotMatch(await namesFor('secret.example'), /secret/)
  // An address is asked for without a name.
  await publish('default', '127.0.0.9')
  assert.match(await namesFor(undefined), /IP Address:127\.0\.0\.9/)
})
