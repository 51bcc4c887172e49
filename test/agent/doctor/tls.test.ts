import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { readTls, type TlsExpectation } from '../../../agent/doctor/check-tls.ts'
import type { Finding } from '../../../agent/doctor/finding.ts'
import { createAuthority } from '../../../relay/authority/certificate-authority.ts'
import { ensureServerCertificate } from '../../../relay/authority/server-certificate.ts'
import { realEffects } from '../../../shared/effects.ts'
import { fingerprint, spkiHash } from '../../../shared/identity/keys.ts'

const DAY_MS = 86_400_000

/** A CA and a chain that it signed for relay.test, the leaf first. */
interface Signed {
  readonly ca: X509Certificate
  readonly chain: readonly X509Certificate[]
}

async function sign(): Promise<Signed> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-tls-'))
  try {
    const authority = await createAuthority(directory, realEffects)
    const { chain } = await ensureServerCertificate(directory, authority, ['relay.test'], realEffects)
    const [leaf = ''] = chain.split(/(?<=-----END CERTIFICATE-----\n)/)
    return { ca: authority.certificate, chain: [new X509Certificate(leaf), authority.certificate] }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

describe('who signed what was shown', () => {
  let relay: Signed
  let other: Signed
  let expectation: TlsExpectation

  before(async () => {
    ;[relay, other] = await Promise.all([sign(), sign()])
    expectation = {
      where: 'relay.test:443',
      host: 'relay.test',
      serverName: 'relay.test',
      expected: { kind: 'certificate', pem: relay.ca.toString() },
      now: realEffects.date(),
      companyRoots: [],
      publicRoots: [],
    }
  })

  const read = (chain: readonly X509Certificate[], changes: Partial<TlsExpectation> = {}): Finding => {
    const [finding] = readTls({ chain, protocol: 'TLSv1.3', ms: 9 }, { ...expectation, ...changes })
    if (finding === undefined) throw new Error('no finding')
    return finding
  }

  it('is the relay where its CA did, by certificate or by pin', () => {
    assert.equal(read(relay.chain).verdict, 'OK')
    assert.equal(read(relay.chain, { expected: { kind: 'pin', pin: spkiHash(relay.ca) } }).verdict, 'OK')
  })

  it('is not the relay where the pinned CA is only shown beside a chain of another', () => {
    const [leaf] = other.chain
    const mixed = leaf === undefined ? [] : [leaf, relay.ca]
    const finding = read(mixed, { expected: { kind: 'pin', pin: spkiHash(relay.ca) } })
    assert.deepEqual([finding.verdict, finding.code], ['FAIL', 'RELAY_IDENTITY'])
  })

  it('is the relay under another name, which its operator can mend', () => {
    const finding = read(relay.chain, { serverName: 'other.test' })
    assert.equal(finding.code, 'RELAY_IDENTITY')
    assert.match(finding.text, /not for other\.test/)
    assert.match(finding.remedy ?? '', /relay operator/)
  })

  it('is the relay at another time: both clocks are named', () => {
    for (const days of [400, -2]) {
      const finding = read(relay.chain, { now: expectation.now + days * DAY_MS })
      assert.equal(finding.code, 'CLOCK')
      assert.ok(finding.text.includes(new Date(expectation.now + days * DAY_MS).toISOString()))
      assert.ok(finding.text.includes(relay.chain[0]?.validToDate.toISOString() ?? '?'))
    }
  })

  it("is the company's inspector where this machine trusts it, with the key to accept", () => {
    const finding = read(other.chain, { companyRoots: [other.ca.toString()] })
    assert.match(finding.text, /a CA of your company: a TLS inspector/)
    assert.ok(finding.remedy?.includes(`--accept-inspector ${fingerprint(other.ca)}`))
  })

  it('is an inspector that was accepted: a warning', () => {
    assert.equal(read(other.chain, { accepted: fingerprint(other.ca) }).verdict, 'WARN')
  })

  it('is the public web, where no relay has its certificate from', () => {
    const finding = read(other.chain, { expected: { kind: 'unknown' }, publicRoots: [other.ca.toString()] })
    assert.equal(finding.verdict, 'FAIL')
    assert.match(finding.text, /public web/)
  })

  it('cannot be judged where nothing was expected', () => {
    assert.match(read(other.chain, { expected: { kind: 'unknown' } }).text, /only a join string can tell/)
  })

  it('is nobody where TLS came to no end, and the reason is told', () => {
    for (const [fault, word] of [
      ['ERR_SSL_WRONG_VERSION_NUMBER', 'is not TLS'],
      ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'no TLS 1.3'],
      ['ETIMEDOUT', 'nothing answers the beginning of TLS'],
      ['ECONNRESET', 'broken off'],
    ] as const) {
      const [finding] = readTls({ chain: [], fault, ms: 9 }, expectation)
      assert.equal(finding?.verdict, 'FAIL')
      assert.ok(finding?.text.includes(word), finding?.text)
    }
  })
})
