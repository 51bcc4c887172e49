import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import { issueClientCertificate } from '../../../relay/authority/client-certificate.ts'
import { admits, parseCa, parseRanges } from '../../../relay/restrictions/restriction.ts'
import { realEffects } from '../../../shared/effects.ts'
import { generateKey } from '../../../shared/identity/keys.ts'
import { openTestAuthority } from '../authority/authority-fixture.ts'

const ranges = parseRanges(['192.0.2.0/24', '2001:db8:1::/48', '203.0.113.7'])
const office = { name: 'office', ranges }
const isIn = (address: string) => admits(office, { address }, 0)

describe('a restriction to ranges', () => {
  it('lets in what lies in one of them, of both families, also as a listener for both writes it', () => {
    for (const address of ['192.0.2.1', '::ffff:192.0.2.255', '2001:db8:1::5', '203.0.113.7']) {
      assert.equal(isIn(address), true, address)
    }
  })

  it('keeps all else out, also what is no address', () => {
    for (const address of ['192.0.3.1', '203.0.113.8', '2001:db8:2::5', '::ffff:c000:201', '', '192.0.2']) {
      assert.equal(isIn(address), false, address)
    }
  })

  it('names the range that is none', () => {
    assert.throws(() => parseRanges(['192.0.2.1/24']), { code: 'CONFIG', message: /192\.0\.2\.1\/24/ })
  })
})

describe('a restriction to a CA', () => {
  it('lets in what that CA has issued to a client, in its time, and nothing else', async (t) => {
    const { context } = await openTestAuthority(t)
    const stranger = (await openTestAuthority(t)).context.authority
    const key = createPublicKey(await generateKey())
    const subject = { kind: 'connector', tenantId: 'default', id: 'a'.repeat(26) } as const
    const issue = async (authority: typeof stranger) =>
      new X509Certificate((await issueClientCertificate(authority, key, subject, 3_600_000, realEffects)).pem)
    const ca = parseCa(context.authority.certificate.toString())
    const restriction = { name: 'ours', ranges: [], ca }
    const good = await issue(context.authority)
    const now = Date.now()
    const admitsIt = (certificate: X509Certificate | undefined, at = now) =>
      admits(restriction, { address: '192.0.2.1', certificate }, at)
    assert.equal(admitsIt(good), true)
    assert.equal(admitsIt(undefined), false)
    assert.equal(admitsIt(good, now + 3_700_000), false)
    assert.equal(admitsIt(good, now - 86_400_000 * 30), false)
    // Of another CA with the same name, and the CA itself.
    assert.equal(admitsIt(await issue(stranger)), false)
    assert.equal(admitsIt(ca), false)
  })

  it('takes one certificate of a CA only', async (t) => {
    const { context } = await openTestAuthority(t)
    const key = createPublicKey(await generateKey())
    const subject = { kind: 'agent', tenantId: 'default', id: 'a'.repeat(26) } as const
    const leaf = await issueClientCertificate(context.authority, key, subject, 3_600_000, realEffects)
    for (const bad of ['', 'nothing', leaf.pem]) assert.throws(() => parseCa(bad), { code: 'CONFIG' })
  })
})
