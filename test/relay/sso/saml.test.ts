import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { inflateRawSync } from 'node:zlib'
import { LOGIN_RATES } from '../../../relay/people/login-rates.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { Browser, type Page } from './browser.ts'
import { makeSigner, type Statement } from './saml-kit.ts'

// With a provider of our own, so that it runs everywhere; test/interop/saml.interop.ts has pysaml2 for one.

const ENTITY = 'https://idp.example/idp'
const ROUTES = '/api/v1/sso/default/corp'
const SESSION = '__Host-sallyport'

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

function settings(): object {
  return {
    ...{ kind: 'saml', entityId: ENTITY, signOnUrl: `${ENTITY}/sso`, certificates: [signer.certificate] },
    rules: [{ claim: 'team', value: 'ops', role: 'auditor' }],
    loginClaim: 'mail',
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
  const sha1 = {
    signature: 'http://www.w3.org/2000/09/xmldsig#rsa-sha1',
    digest: 'http://www.w3.org/2000/09/xmldsig#sha1',
  }
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
