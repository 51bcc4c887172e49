import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import tls from 'node:tls'
import { realEffects } from '../../../shared/effects.ts'
import { identityPkcs12, PKCS12_ITERATIONS, trustPkcs12 } from '../../../shared/identity/pkcs12.ts'
import { Secret } from '../../../shared/secret.ts'
import { within } from '../../support/deadline.ts'
import { startKit } from '../../support/relay-kit.ts'

const PASSWORD = 'the tide is out'
const QUICK = { password: new Secret(PASSWORD), effects: realEffects, iterations: 1_000 }

test('a relay takes what is in the file for the connector, and so does OpenSSL', async () => {
  await using kit = await startKit()
  const { ca, certificate, key } = await kit.credentials('app', 'berlin/db')
  const chain = [new X509Certificate(certificate), new X509Certificate(ca)]
  const pfx = await identityPkcs12({ name: 'app', key, chain }, QUICK)
  const open = (passphrase: string) => tls.createSecureContext({ pfx, passphrase })
  assert.throws(() => open('another'), /mac verify failure/)
  const socket = tls.connect({ host: '127.0.0.1', port: kit.port, ca, secureContext: open(PASSWORD) })
  // In TLS 1.3 the server's word on the client's certificate comes behind the handshake.
  await within(once(socket, 'secureConnect'), 'the handshake')
  socket.write(
    'GET /v1/connector HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  )
  const [answer] = (await within(once(socket, 'data'), 'an answer')) as [Buffer]
  socket.destroy()
  assert.match(String(answer), /"code":"PROTOCOL"/, 'it is known, and only the subprotocol is missing')
})

test('a bit that was changed is noticed, wherever it is', async () => {
  await using kit = await startKit()
  const { certificate, key } = await kit.credentials('app', 'berlin/db')
  const pfx = await identityPkcs12({ name: 'app', key, chain: [new X509Certificate(certificate)] }, QUICK)
  const open = (bytes: Buffer) => tls.createSecureContext({ pfx: bytes, passphrase: PASSWORD })
  open(pfx)
  for (let at = 40; at < pfx.length; at += 97) {
    const changed = Buffer.from(pfx)
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
    assert.throws(() => open(changed), `byte ${at}`)
  }
})

test('passwords that programs write as different bytes, and short ones, are refused', async () => {
  await using kit = await startKit()
  const { ca } = await kit.credentials('app', 'berlin/db')
  for (const text of ['1234567', 'a'.repeat(129), 'grüße an alle', 'a\tb\tc\td\te']) {
    const asked = trustPkcs12('relay', new X509Certificate(ca), { ...QUICK, password: new Secret(text) })
    await assert.rejects(asked, { code: 'USAGE' }, text)
  }
})

test('a guess at the password costs 600,000 rounds unless a test says otherwise', () => {
  assert.equal(PKCS12_ITERATIONS, 600_000)
})
