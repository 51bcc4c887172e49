import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { inflateRawSync } from 'node:zlib'
import { LOGIN_RATES } from '../../../relay/people/login-rates.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { Browser, type Page } from './browser.ts'
import { type Encryption, encrypt, makeSigner, type Statement } from './saml-kit.ts'

// With a provider of our own, so that it runs everywhere; test/interop/saml.interop.ts has pysaml2 for one.

const ENTITY = 'https://idp.example/idp'
const ROUTES = '/api/v1/sso/default/corp'
const SESSION = '__Host-sallyport'
const DSIG = 'http://www.w3.org/2000/09/xmldsig#'

let kit: RelayKit
let signer: Awaited<ReturnType<typeof makeSigner>>
let browser: Browser
let subject = 0

before(async () => {
  kit = await startKit({
    apiLimits: { addressBurst: 10_000 },
    logins: { rates: { ...LOGIN_RATES, addressBurst: 1_000 } },
  })
  signer = await makeSigner()
  await kit.command('sso.add', { provider: 'corp', settings: settings() })
})

after(() => kit[Symbol.asyncDispose]())

beforeEach(() => {
  browser = new Browser([kit.relay.authority.authority.certificate.toString()])
  subject++
})

function settings(changes: object = {}): object {
  return {
    ...{ kind: 'saml', entityId: ENTITY, signOnUrl: `${ENTITY}/sso`, certificates: [signer.certificate] },
    rules: [{ claim: 'team', value: 'ops', role: 'auditor' }],
    loginClaim: 'mail',
    ...changes,
  }
}

const at = (route: string) => `https://127.0.0.1:${kit.port}${ROUTES}/${route}`

/** Begins a sign-on and answers it as the provider, whatever is changed. */
async function signOn(changes: Partial<Statement> = {}): Promise<Page> {
  const page = await browser.visit(at('start'), { stops: true })
  const request = new URL(String(page.headers.location)).searchParams.get('SAMLRequest') ?? ''
  const [, inResponseTo = ''] =
    / ID="([^"]+)"/.exec(inflateRawSync(Buffer.from(request, 'base64')).toString()) ?? []
  const SAMLResponse = signer.respond({
    ...{
      entityId: ENTITY,
      audience: at('metadata'),
      recipient: at('acs'),
      inResponseTo,
      subject: `s-${subject}`,
    },
    attributes: { mail: `eve-${subject}@example.org`, team: 'ops' },
    ...changes,
  })
  return browser.visit(at('acs'), { form: { SAMLResponse }, headers: { origin: 'https://idp.example' } })
}

/** The reason stands in the audit only. */
async function refused(page: Page, pattern: RegExp): Promise<void> {
  assert.equal((JSON.parse(page.text) as { code: string }).code, 'SIGN_ON', page.text)
  assert.equal(browser.cookie(at('acs'), SESSION), undefined)
  await kit.relay.trail.flush()
  const { items } = (await kit.command('audit.list', { action: 'sso.refuse' })) as {
    items: { detail: string }[]
  }
  assert.match(items.at(0)?.detail ?? '', pattern)
}

test('a person logs in by SAML', async () => {
  const page = await signOn()
  assert.equal(page.status, 200, page.text)
  assert.equal(
    (await browser.visit(`https://127.0.0.1:${kit.port}/api/v1/tenants/default/environments`)).status,
    200,
  )
})

test('an assertion that is signed by SHA-1 lets nobody in, however its name is written', async () => {
  const sha1 = { signature: `${DSIG}rsa-sha1`, digest: `${DSIG}sha1` }
  await refused(await signOn({ algorithms: sha1 }), /SHA-1/)
  const [signature, digest] = [sha1.signature, sha1.digest].map((text) => text.replace('#', '&#35;'))
  await refused(
    await signOn({ algorithms: { signature: String(signature), digest: String(digest) } }),
    /SHA-1/,
  )
})

test('an assertion for another audience, recipient or request lets nobody in', async () => {
  await refused(await signOn({ audience: 'https://other.example/sp' }), /audience/)
  await refused(await signOn({ recipient: 'https://other.example/acs' }), /recipient/)
  await refused(await signOn({ inResponseTo: '_other' }), /InResponseTo/)
})

/** Whether the provider may encrypt, and with which certificate it finds in the metadata then. */
async function takesEncrypted(takes: boolean): Promise<{ metadata: string; certificate: string }> {
  await kit.command('sso.update', { provider: 'corp', settings: settings({ takesEncrypted: takes }) })
  const { text: metadata } = await browser.visit(at('metadata'))
  const [, base64 = ''] = /use="encryption"[\s\S]*?<ds:X509Certificate>([^<]+)</.exec(metadata) ?? []
  return {
    metadata,
    certificate: `-----BEGIN CERTIFICATE-----\n${base64.trim()}\n-----END CERTIFICATE-----\n`,
  }
}

const GOOD: Encryption = { content: 'aes256-gcm', key: 'rsa-oaep-mgf1p' }

test('an assertion may be encrypted where the provider has it switched on, by AES-GCM and RSA-OAEP', async () => {
  const { metadata, certificate } = await takesEncrypted(true)
  assert.match(metadata, /aes256-gcm/)
  assert.doesNotMatch(metadata, /cbc/)
  for (const content of ['aes256-gcm', 'aes128-gcm'] as const) {
    const page = await signOn({ wrap: (assertion) => encrypt(assertion, certificate, { ...GOOD, content }) })
    assert.equal(page.status, 200, page.text)
  }
  browser.cookies.clear()
  assert.doesNotMatch((await takesEncrypted(false)).metadata, /use="encryption"/)
  await refused(
    await signOn({ wrap: (assertion) => encrypt(assertion, certificate, GOOD) }),
    /not switched on/,
  )
})

test('what is encrypted by CBC or RSA 1.5, twice, or for somebody else lets nobody in', async () => {
  const { certificate } = await takesEncrypted(true)
  const by = (changes: Partial<Encryption>) =>
    signOn({ wrap: (assertion) => encrypt(assertion, certificate, { ...GOOD, ...changes }) })
  await refused(await by({ content: 'aes256-cbc' }), /encrypted by aes256-cbc/)
  await refused(await by({ key: 'rsa-1_5' }), /encrypted by rsa-1_5/)
  const hidden = (xml: string) => xml.replace('#rsa-1_5', '&#35;rsa-1_&#x35;')
  await refused(
    await signOn({ wrap: (one) => hidden(encrypt(one, certificate, { ...GOOD, key: 'rsa-1_5' })) }),
    /encrypted by rsa-1_5/,
  )
  const twice = (one: string) => encrypt(one, certificate, GOOD)
  await refused(await signOn({ wrap: (one) => `${twice(one)}${twice(one)}` }), /2 times, 1 may be/)
  const { certificate: foreign } = await makeSigner()
  await refused(await signOn({ wrap: (one) => encrypt(one, foreign, GOOD) }), /./)
})

test('what is encrypted is held to what holds for all: signed, not by SHA-1, within the limits', async () => {
  const { certificate } = await takesEncrypted(true)
  const wrap = (assertion: string) => encrypt(assertion, certificate, GOOD)
  const bare = (one: string) => wrap(one.replace(/<ds:Signature [\s\S]*<\/ds:Signature>/, ''))
  await refused(await signOn({ wrap: bare }), /signature/i)
  await refused(await signOn({ wrap: (one) => wrap(one.replace(/>s-\d+</, '>s-boss<')) }), /signature/i)
  const algorithms = { signature: `${DSIG}rsa-sha1`, digest: `${DSIG}sha1` }
  await refused(await signOn({ algorithms, wrap }), /SHA-1/)
  await refused(await signOn({ wrap: (one) => wrap(one.replace(/>s-/, '>s-<!-- -->')) }), /comment/)
  await refused(await signOn({ inner: '<saml:X></saml:X>'.repeat(1_000), wrap }), /too many/)
})

test('where a second factor is demanded, one of the provider counts where its context is named', async () => {
  const environments = `https://127.0.0.1:${kit.port}/api/v1/tenants/default/environments`
  const status = async (secondFactorBy: readonly string[]) => {
    await kit.command('sso.update', { provider: 'corp', settings: settings({ secondFactorBy }) })
    assert.equal((await signOn()).status, 200)
    return (await browser.visit(environments)).status
  }
  await kit.command('second-factor.set', { isDemanded: true })
  assert.equal(await status(['urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken']), 403)
  assert.equal(await status(['urn:oasis:names:tc:SAML:2.0:ac:classes:Password']), 200)
  await kit.command('second-factor.set', { isDemanded: false })
})
