import assert from 'node:assert/strict'
import { webcrypto, X509Certificate } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import * as x509 from '@peculiar/x509'
import { importPkcs8 } from '../../shared/identity/csr.ts'
import { importKey } from '../../shared/identity/keys.ts'
import { SUBPROTOCOL } from '../../shared/version.ts'
import { within } from '../support/deadline.ts'
import { identityOf } from '../support/raw-session.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { tcpEnd } from '../support/tcp-kit.ts'

/**
 * S12: certificates that are almost those of an agent. All have the serial number and, unless it is the fault, the name of
 * one that has joined, so that nothing but the fault named keeps them out.
 */

const DAY_MS = 86_400_000
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

type Key = webcrypto.CryptoKey
type Name = x509.JsonGeneralNames[number]

interface Issuer {
  readonly name: x509.Name
  readonly key: Key
}

interface Forged {
  /** PEM, the leaf first. */
  readonly chain: string
  readonly key: string
}

interface Form {
  /** From now, in ms. */
  readonly notBefore?: number
  readonly notAfter?: number
  readonly extensions?: readonly x509.Extension[]
  /** Made of the agent's own. */
  readonly names?: (uri: string) => readonly Name[]
  readonly usages?: readonly string[]
}

const uri = (value: string): Name => ({ type: 'url', value })

/** Signed by the relay's own CA: what is wrong is in the certificate alone. */
const FORMS: Readonly<Record<string, Form>> = {
  'its end behind it': { notBefore: -2 * DAY_MS, notAfter: -1_000 },
  'its beginning before it': { notBefore: DAY_MS, notAfter: 2 * DAY_MS },
  'the usage of a server only': { usages: [x509.ExtendedKeyUsage.serverAuth] },
  'an empty list of usages': { usages: [] },
  'its name twice': { names: (own) => [uri(own), uri(own)] },
  'a name of DNS beside its own': { names: (own) => [uri(own), { type: 'dns', value: 'a.example' }] },
  'a name of DNS before its own': { names: (own) => [{ type: 'dns', value: 'a.example' }, uri(own)] },
  'no name': { names: () => [] },
  'another tenant': { names: (own) => [uri(own.replace('default', 'other'))] },
  'an id that nobody has': { names: (own) => [uri(own.replace(/.{26}$/, 'a'.repeat(26)))] },
  'its id in upper case': { names: (own) => [uri(own.replace(/.{26}$/, (id) => id.toUpperCase()))] },
  'a path behind its name': { names: (own) => [uri(`${own}/..`)] },
  'a kind that is none': { names: (own) => [uri(own.replace('agent', 'relay'))] },
  'a NUL in its name': { names: (own) => [uri(`${own}\0`)] },
  'a critical extension that nobody knows': {
    extensions: [new x509.Extension('1.2.3.4.5', true, new Uint8Array([5, 0]))],
  },
  'an extension of 256 KiB': { extensions: [new x509.Extension('1.2.3.4', false, new Uint8Array(262_144))] },
}

async function sign(form: Form, own: Victim, issuer: Issuer): Promise<Forged> {
  const { privateKey, publicKey } = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify'])
  const names = form.names?.(own.uri) ?? [uri(own.uri)]
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: own.serial,
    subject: 'CN=forged',
    issuer: issuer.name,
    notBefore: new Date(Date.now() + (form.notBefore ?? -60_000)),
    notAfter: new Date(Date.now() + (form.notAfter ?? DAY_MS)),
    publicKey,
    signingKey: issuer.key,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.ExtendedKeyUsageExtension([...(form.usages ?? [x509.ExtendedKeyUsage.clientAuth])], true),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension([...names], true)]),
      ...(form.extensions ?? []),
    ],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey)).toString('base64')
  return {
    chain: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
  }
}

/** Whose certificates are copied. */
interface Victim {
  readonly uri: string
  readonly serial: string
}

describe('S12: a certificate that is almost right', () => {
  let kit: RelayKit
  let ca: string
  let issuer: Issuer
  let victim: Victim
  let directory: string

  before(async () => {
    kit = await startKit()
    const { authority } = kit.relay.authority
    ca = authority.certificate.toString()
    const { subjectName } = new x509.X509Certificate(authority.certificate.raw)
    issuer = { name: subjectName, key: await importPkcs8(importKey(authority.key.reveal())) }
    directory = await kit.joinedDirectory()
    const { subjectAltName, serialNumber } = new X509Certificate((await identityOf(directory)).certificate)
    victim = { uri: subjectAltName?.slice('URI:'.length) ?? '', serial: serialNumber.toLowerCase() }
  })

  after(() => kit[Symbol.asyncDispose]())

  /** What the relay answers to who asks for a tunnel with it: a status with a code, or how TLS ended. */
  const knock = async ({ chain, key }: Forged): Promise<string> => {
    const socket = tls.connect({ host: '127.0.0.1', port: kit.port, ca, cert: chain, key })
    const end = tcpEnd(socket)
    socket.write(
      [
        'GET /v1/agent HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n',
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n',
        `Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
      ].join(''),
    )
    socket.on('data', () => {
      if (end.received().toString('latin1').startsWith('HTTP/1.1 101 ')) socket.destroy()
    })
    const { bytes, code } = await within(end.closed, 'the end of the connection')
    const text = bytes.toString('latin1')
    const status = /^HTTP\/1\.1 (\d+) /.exec(text)?.[1]
    return status === undefined ? `closed ${code}` : `${status} ${/"code":"(\w+)"/.exec(text)?.[1] ?? ''}`
  }

  const refusals = async () => {
    await kit.relay.trail.flush()
    const query = { order: 'newest', limit: 200, filter: { action: 'session.refuse' } } as const
    const { store } = kit.relay.authority
    const pages = [await store.readAudit('@relay', query), await store.readAudit('default', query)]
    return pages.flatMap(({ records }) => records).length
  }

  const isRefused = (answer: string) => /^(?:401|403) (?:IDENTITY|EXPIRED)$|^closed /.test(answer)

  it('is let in where nothing is wrong with it, so what follows can fail', async () => {
    assert.match(await knock(await sign({}, victim, issuer)), /^101 /)
  })

  for (const [what, form] of Object.entries(FORMS)) {
    it(`by ${what} lets nobody in`, async () => {
      const answer = await knock(await sign(form, victim, issuer))
      assert.ok(isRefused(answer), answer)
    })
  }

  it('is on record with whoever was refused', async () => {
    const known = await refusals()
    assert.match(await knock(await sign(FORMS['no name'] ?? {}, victim, issuer)), /^401 IDENTITY$/)
    assert.equal(await refusals(), known + 1)
  })

  it('by a leaf in the place of the CA lets nobody in: the CA ends every chain', async () => {
    const { certificate, key } = await identityOf(directory)
    const { subjectName } = new x509.X509Certificate(certificate)
    const leaf = { name: subjectName, key: await importPkcs8(importKey(key.reveal())) }
    const forged = await sign({}, victim, leaf)
    const answer = await knock({ ...forged, chain: `${forged.chain}\n${certificate}` })
    assert.ok(isRefused(answer), answer)
  })

  it('by another CA of the same name lets nobody in', async () => {
    const { privateKey } = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify'])
    const answer = await knock(await sign({}, victim, { name: issuer.name, key: privateKey }))
    assert.ok(isRefused(answer), answer)
  })

  it('leaves the relay as it was: an agent comes in afterwards', async () => {
    await kit.startAgent({ site: 'munich' })
  })
})
