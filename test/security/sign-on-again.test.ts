import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Browser } from '../relay/sso/browser.ts'
import { startIdp, type TestIdp } from '../relay/sso/oidc-kit.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

/** What somebody at an unattended browser may try: to pass for the person who was asked just now. */

const ROUTES = '/api/v1/sso/default/corp'
let kit: RelayKit
let idp: TestIdp
let origin: string

before(async () => {
  kit = await startKit({
    sso: { insideHosts: new Set(['idp.example']), resolve: async () => ['127.0.0.1'] },
  })
  origin = `https://127.0.0.1:${kit.port}`
  const ca = kit.relay.authority.authority.certificate.toString()
  idp = await startIdp('idp.example', { origin, ca }, ROUTES)
  const rules = [{ claim: 'groups', value: 'ops', role: 'operator', environment: 'test' }]
  const settings = {
    ...{ kind: 'oidc', issuer: idp.issuer, clientId: idp.client.id, ca: idp.ca },
    ...{ scopes: ['email', 'groups'], asksUserInfo: true, rules },
  }
  await kit.command('sso.add', { provider: 'corp', settings, secret: idp.client.secret })
})

after(async () => {
  await idp[Symbol.asyncDispose]()
  await kit[Symbol.asyncDispose]()
})

const newBrowser = () => new Browser([kit.relay.authority.authority.certificate.toString(), idp.ca])

/** Begins a sign-on for which the provider has to ask, and changes what the browser is sent on with. */
async function againWith(browser: Browser, change: (sent: URLSearchParams) => void) {
  const { headers } = await browser.visit(`${origin}${ROUTES}/start?fresh=true`, { stops: true })
  const url = new URL(String(headers.location))
  change(url.searchParams)
  return browser.visit(url)
}

test('a sign-on for which the person was asked holds, on a page that runs no script and is framed nowhere', async () => {
  const page = await againWith(newBrowser(), () => undefined)
  assert.equal(page.status, 200, page.text)
  const policy = String(page.headers['content-security-policy'])
  assert.match(policy, /default-src 'none'; script-src 'none'; .*frame-ancestors 'none'/)
  assert.doesNotMatch(policy, /unsafe/)
})

test('who takes the wish to be asked out of the address on the way is not let in as if asked', async () => {
  const browser = newBrowser()
  assert.equal((await browser.visit(`${origin}${ROUTES}/start`)).status, 200)
  const page = await againWith(browser, (sent) => {
    sent.delete('max_age')
    sent.delete('prompt')
  })
  assert.equal((JSON.parse(page.text) as { code: string }).code, 'SIGN_ON', page.text)
})
