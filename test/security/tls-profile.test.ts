import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { within } from '../support/deadline.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

/**
 * S15: what the one port of a relay agrees on. test/security/tls-scan.ts asks the same with other people's scanners; that no
 * session is resumed stands in test/e2e/identity.test.ts.
 */

const AEAD = ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256']
/** Suites of TLS 1.2 and before that clients still offer, weak ones among them. */
const OLDER = 'ALL:COMPLEMENTOFALL:@SECLEVEL=0'

describe('S15: the TLS of the one port', () => {
  let kit: RelayKit
  let ca: string

  before(async () => {
    kit = await startKit()
    ca = (await kit.credentials('for-its-ca', 'berlin/db')).ca
    await kit.command('publication.add', { resource: 'berlin/web', kind: 'host', address: 'web.example.org' })
  })

  after(() => kit[Symbol.asyncDispose]())

  /** What was agreed on with a client of these options, or the code of the refusal. */
  const agree = async (options: tls.ConnectionOptions) => {
    const socket = tls.connect({ host: '127.0.0.1', port: kit.port, ca, ...options })
    try {
      await within(once(socket, 'secureConnect'), 'TLS')
      const { name } = socket.getCipher()
      const { name: group } = socket.getEphemeralKeyInfo() as { name?: string }
      return { protocol: socket.getProtocol(), cipher: name, group, alpn: socket.alpnProtocol }
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    } finally {
      socket.destroy()
    }
  }

  for (const servername of ['', 'web.example.org']) {
    const who = servername === '' ? 'its own name' : 'a published host'

    it(`agrees on TLS 1.3 and on a group that a quantum computer does not break, under ${who}`, async () => {
      const agreed = await agree({ servername })
      assert.deepEqual(agreed, {
        protocol: 'TLSv1.3',
        cipher: 'TLS_AES_256_GCM_SHA384',
        group: 'X25519MLKEM768',
        alpn: false,
      })
    })

    // Also after a certificate was put in the place of another, as `before` does: that gave TLS 1.2 back once.
    it(`speaks no older version, whatever suites are offered, under ${who}`, async () => {
      for (const version of ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const) {
        const options = { servername, ciphers: OLDER, minVersion: version, maxVersion: version }
        assert.match(String(await agree(options)), /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/, version)
      }
    })
  }

  it('takes the usual suites of TLS 1.3, all AEAD with keys that are thrown away, and no shorter tag', async () => {
    for (const ciphers of AEAD) {
      const agreed = await agree({ ciphers })
      assert.ok(typeof agreed === 'object')
      assert.equal(agreed.cipher, ciphers)
      assert.ok(agreed.group)
    }
    for (const ciphers of ['TLS_AES_128_CCM_SHA256', 'TLS_AES_128_CCM_8_SHA256']) {
      assert.match(String(await agree({ ciphers })), /HANDSHAKE_FAILURE|NO_CIPHERS/, ciphers)
    }
  })

  it('agrees on HTTP/1.1 and on nothing else by ALPN', async () => {
    const both = await agree({ ALPNProtocols: ['h2', 'http/1.1'] })
    assert.equal(typeof both === 'object' && both.alpn, 'http/1.1')
    assert.match(String(await agree({ ALPNProtocols: ['h2', 'spdy/3'] })), /NO_APPLICATION_PROTOCOL/)
  })

  it('shows each host its own certificate, and none tells of the others', async () => {
    const names = async (servername: string) => {
      const socket = tls.connect({
        host: '127.0.0.1',
        port: kit.port,
        ca,
        servername,
        checkServerIdentity: () => undefined,
      })
      await within(once(socket, 'secureConnect'), 'TLS')
      const { subjectAltName, publicKey } = socket.getPeerX509Certificate() ?? assert.fail('no certificate')
      socket.destroy()
      assert.equal(publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1')
      return subjectAltName
    }
    assert.equal(await names('web.example.org'), 'DNS:web.example.org')
    for (const name of ['', 'other.example.org']) assert.doesNotMatch((await names(name)) ?? '', /example/)
  })
})
