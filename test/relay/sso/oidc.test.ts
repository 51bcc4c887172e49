import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { Browser, type Page } from './browser.ts'
import { type Forge, startIdp, type TestIdp } from './oidc-kit.ts'

const ROUTES = '/api/v1/sso/default/corp'
const SESSION = '__Host-sallyport'
const RULES = [
  { claim: 'groups', value: 'shut-out', role: 'none' },
  { claim: 'groups', value: 'ops', role: 'operator', environment: 'test' },
  { claim: 'groups', value: 'audit-*', role: 'auditor' },
]

let kit: RelayKit
let idp: TestIdp
let browser: Browser
let subject = 0

before(async () => {
  kit = await startKit({
    sso: { insideHosts: new Set(['idp.example', 'other.example']), resolve: async () => ['127.0.0.1'] },
    apiLimits: { addressBurst: 10_000 },
  })
  const relay = { origin: origin(), ca: kit.relay.authority.authority.certificate.toString() }
  idp = await startIdp('idp.example', relay, ROUTES)
  await kit.command('sso.add', { provider: 'corp', settings: settings(), secret: idp.client.secret })
  await kit.command('tenant.add', { tenant: 'other' })
  const elsewhere = { tenant: 'other', provider: 'corp', settings: settings(), secret: idp.client.secret }
  await kit.command('sso.add', elsewhere)
})

after(async () => {
  await idp[Symbol.asyncDispose]()
  await kit[Symbol.asyncDispose]()
})

beforeEach(() => {
  browser = newBrowser()
  idp.forge = undefined
  const sub = `${++subject}`
  idp.account = { sub, email: `ann-${sub}@example.org`, email_verified: true, groups: ['ops'] }
})

function origin(): string {
  return `https://127.0.0.1:${kit.port}`
}

function newBrowser(): Browser {
  return new Browser([kit.relay.authority.authority.certificate.toString(), idp.ca])
}

function settings(changes: object = {}): object {
  return {
    ...{ kind: 'oidc', issuer: idp.issuer, clientId: idp.client.id, ca: idp.ca, asksUserInfo: true },
    ...{ scopes: ['email', 'groups'], rules: RULES },
    ...changes,
  }
}

function logIn(path = `${ROUTES}/start`): Promise<Page> {
  return browser.visit(`${origin()}${path}`)
}

/** The records of the tenant's chain about `action`, the newest first. */
async function records(action: string) {
  await kit.relay.trail.flush()
  const { items } = (await kit.command('audit.list', { action })) as {
    items: { outcome: string; detail: string }[]
  }
  return items
}

async function refusedWith(page: Page, pattern: RegExp, code = 'SIGN_ON'): Promise<void> {
  assert.equal((JSON.parse(page.text) as { code: string }).code, code, page.text)
  assert.equal(browser.cookie(origin(), SESSION), undefined)
  const found = await records('sso.refuse')
  assert.ok(
    found.some(({ outcome, detail }) => outcome === code && pattern.test(detail)),
    JSON.stringify(found.map(({ detail }) => detail)),
  )
}

test('a person logs in by OpenID Connect, gets the roles of the rules, and is known the next time', async () => {
  const page = await logIn(`${ROUTES}/start?returnTo=/console`)
  assert.equal(page.status, 200, page.text)
  assert.match(page.text, /url=\/console"/)
  const token = browser.cookie(origin(), SESSION) ?? ''
  assert.notEqual(token, '')
  const own = await browser.visit(`${origin()}/api/v1/tenants/default/environments`)
  assert.equal(own.status, 403, 'an operator of the environment test does not see the whole tenant')
  await browser.visit(`${origin()}${ROUTES}/start`)
  assert.equal((await records('person.add')).filter(({ detail }) => detail === idp.account.email).length, 1)
  assert.match((await records('sso.roles'))[0]?.detail ?? '', /corp, rules 2/)
  assert.match((await records('person.login'))[0]?.detail ?? '', /oidc corp, rules 2/)
})

test('whom no rule gives a role has no access, nor whom a rule shuts out', async () => {
  idp.account = { ...idp.account, groups: ['guests'] }
  await refusedWith(await logIn(), /No rule/)
  idp.account = { ...idp.account, groups: ['ops', 'shut-out'] }
  await refusedWith(await logIn(), /No rule/)
})

test('a role that the provider no longer gives goes with the sessions that had it', async () => {
  idp.account = { ...idp.account, groups: ['ops', 'audit-eu'] }
  await logIn()
  const first = browser
  const roles = `${origin()}/api/v1/tenants/default/environments`
  assert.equal((await first.visit(roles)).status, 200)
  browser = newBrowser()
  idp.account = { ...idp.account, groups: ['ops'] }
  await logIn()
  assert.equal((await first.visit(roles)).status, 401)
  assert.equal((await browser.visit(roles)).status, 403)
})

test("a login name that is somebody else's is not taken over", async () => {
  await kit.relay.authority.store.addPerson('default', { id: 'p1', login: 'boss' }, actNow())
  await kit.relay.authority.store.setPassword('default', 'p1', 'hash', actNow())
  idp.account = { ...idp.account, email: 'boss' }
  await refusedWith(await logIn(), /another way/)
})

test('where only invited people are admitted, others stay outside', async () => {
  await kit.command('sso.update', { provider: 'corp', settings: settings({ admits: 'invited' }) })
  await refusedWith(await logIn(), /administrator has added/)
  await kit.relay.authority.store.addPerson('default', { id: 'p2', login: `${idp.account.email}` }, actNow())
  assert.equal((await logIn()).status, 200)
  await kit.command('sso.update', { provider: 'corp', settings: settings() })
})

const FORGERIES: Readonly<Record<string, { readonly forge: Forge; readonly says: RegExp }>> = {
  'another nonce': { forge: (claims) => ({ claims: { ...claims, nonce: 'other' } }), says: /nonce/ },
  'another issuer': {
    forge: (claims) => ({ claims: { ...claims, iss: 'https://evil.example' } }),
    says: /iss/,
  },
  'another audience': { forge: (claims) => ({ claims: { ...claims, aud: 'somebody' } }), says: /aud/ },
  'no time left': { forge: (claims) => ({ claims: { ...claims, exp: 1_000 } }), says: /exp/ },
  'no signature': { forge: (claims) => ({ claims, how: 'unsigned' }), says: /alg|sign/ },
  'the signature of another key': { forge: (claims) => ({ claims, how: 'other key' }), says: /signature/ },
}

for (const [what, { forge, says }] of Object.entries(FORGERIES)) {
  test(`an ID token with ${what} lets nobody in`, async () => {
    idp.forge = forge
    await refusedWith(await logIn(), says)
  })
}

test('an answer with another state, without one, or that nobody waits for lets nobody in', async () => {
  const begun = await browser.visit(`${origin()}${ROUTES}/start`, { stops: true })
  const target = new URL(String(begun.headers.location))
  target.searchParams.set('state', 'other')
  await refusedWith(await browser.visit(target), /state/)
  browser = newBrowser()
  await refusedWith(await browser.visit(`${origin()}${ROUTES}/callback?code=x&state=y`), /begun none/)
})

test('an answer is taken once, and by the browser that asked only', async () => {
  const answered = await answerOf(browser)
  const other = newBrowser()
  const mine = browser
  browser = other
  await refusedWith(await other.visit(answered), /begun none/)
  assert.equal((await mine.visit(answered)).status, 200)
  const again = await mine.visit(answered)
  assert.equal((JSON.parse(again.text) as { code: string }).code, 'SIGN_ON')
})

test("a sign-on with one tenant's provider does not end at another tenant", async () => {
  const answered = await answerOf(browser)
  const moved = new URL(answered)
  moved.pathname = moved.pathname.replace('/default/', '/other/')
  const page = await browser.visit(moved)
  assert.equal((JSON.parse(page.text) as { code: string }).code, 'SIGN_ON')
  assert.equal(browser.cookie(origin(), SESSION), undefined)
})

test('a provider that does not exist, and a tenant that does not, are not found alike', async () => {
  const bodies = await Promise.all(
    ['default/none', 'nobody/corp', 'default/%2e%2e'].map(async (place) => {
      const { status, text } = await browser.visit(`${origin()}/api/v1/sso/${place}/start`)
      const { code } = JSON.parse(text) as { code: string }
      return { status, code }
    }),
  )
  for (const body of bodies) assert.deepEqual(body, { status: 404, code: 'NOT_FOUND' })
})

test('a way back that leads to another host is refused', async () => {
  for (const path of ['//evil.example', 'https://evil.example', '/\\evil.example', 'console']) {
    const page = await browser.visit(`${origin()}${ROUTES}/start?returnTo=${encodeURIComponent(path)}`, {
      stops: true,
    })
    assert.equal((JSON.parse(page.text) as { code: string }).code, 'INPUT', path)
  }
})

test('logging out ends the session here and leads to the provider, which ends all others by its back channel', async () => {
  await logIn()
  const here = browser
  const there = newBrowser()
  // The same session at the provider, another one here.
  there.cookies.set(idp.host, new Map(here.cookies.get(idp.host) ?? []))
  assert.equal((await there.visit(`${origin()}${ROUTES}/start`)).status, 200)
  const headers = { origin: origin(), 'x-sallyport-request': '1' }
  const answer = await here.visit(`${origin()}/api/v1/sso/logout`, { json: {}, headers })
  const { next } = JSON.parse(answer.text) as { next: string }
  assert.ok(next.startsWith(idp.issuer), answer.text)
  const asked = await here.visit(next)
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(asked.text)?.[1] ?? ''
  const whoami = `${origin()}/api/v1/tenants/default/environments`
  assert.equal((await there.visit(whoami)).status, 403)
  await here.visit(`${idp.issuer}/session/end/confirm`, { form: { xsrf, logout: 'yes' }, stops: true })
  assert.deepEqual(idp.failures, [])
  assert.equal((await there.visit(whoami)).status, 401)
})

test('a logout token that is old, for somebody else, an ID token, unsigned or sent twice ends nothing', async () => {
  await logIn()
  const now = Math.floor(Date.now() / 1_000)
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  const good = {
    iss: idp.issuer,
    aud: idp.client.id,
    iat: now,
    exp: now + 60,
    jti: `jti-${subject}`,
    events,
    sub: idp.account.sub,
  }
  const post = async (logout_token: string) =>
    (await browser.visit(`${origin()}${ROUTES}/backchannel-logout`, { form: { logout_token } })).status
  const bad = [
    { ...good, aud: 'somebody' },
    { ...good, iss: 'https://evil.example' },
    { ...good, iat: now - 3_600 },
    { ...good, nonce: 'n' },
    { ...good, events: {} },
    { ...good, sub: undefined },
    { ...good, jti: undefined },
  ]
  for (const claims of bad) assert.equal(await post(await idp.sign(claims)), 403, JSON.stringify(claims))
  assert.equal(await post('not.a.token'), 403)
  const whoami = `${origin()}/api/v1/tenants/default/environments`
  assert.equal((await browser.visit(whoami)).status, 403)
  const token = await idp.sign(good, { typ: 'logout+jwt' })
  assert.equal(await post(token), 200)
  assert.equal((await browser.visit(whoami)).status, 401)
  assert.equal(await post(token), 403)
})

test('S39: a provider that is inside is not asked, unless the operator has named its host', async () => {
  const inside = settings({ issuer: idp.issuer.replace('idp.example', 'inside.example') })
  await kit.command('sso.add', { provider: 'inside', settings: inside, secret: 'x' })
  await assert.rejects(kit.command('sso.test', { provider: 'inside' }), {
    code: 'IDENTITY_PROVIDER',
    message: /127\.0\.0\.1, which is loopback/,
  })
  const { found } = (await kit.command('sso.test', { provider: 'corp' })) as { found: string[] }
  assert.equal(found[0], `issuer ${idp.issuer}`)
})

function actNow() {
  return {
    actor: { kind: 'operator', id: '' },
    source: 'local',
    traceId: 'f'.repeat(32),
    at: Date.now(),
  } as const
}

/** The URL by which the provider sends the browser back, before the browser goes there. */
async function answerOf(of: Browser): Promise<string> {
  let page = await of.visit(`${origin()}${ROUTES}/start`, { stops: true })
  while (!String(page.headers.location).includes('/callback?')) {
    page = await of.visit(new URL(String(page.headers.location), page.url), { stops: true })
  }
  return String(page.headers.location)
}

test('where a second factor is demanded, one of the provider counts where it is named, from the signed token only', async () => {
  idp.account = { ...idp.account, groups: ['audit-eu'], amr: ['mfa'], acr: 'silver' }
  const environments = `${origin()}/api/v1/tenants/default/environments`
  const reached = async (secondFactorBy: readonly string[], claims: object) => {
    await kit.command('sso.update', { provider: 'corp', settings: settings({ secondFactorBy }) })
    idp.forge = (given) => ({ claims: { ...given, ...claims } })
    browser = newBrowser()
    assert.equal((await logIn()).status, 200)
    const page = await browser.visit(environments)
    return page.status === 200 ? 'in' : (JSON.parse(page.text) as { code: string }).code
  }
  await kit.command('second-factor.set', { isDemanded: true })
  assert.equal(await reached([], { amr: ['pwd', 'mfa'] }), 'SECOND_FACTOR')
  assert.equal(await reached(['mfa'], { amr: ['pwd', 'mfa'] }), 'in')
  assert.equal(await reached(['silver', 'gold'], { acr: 'gold' }), 'in')
  assert.equal(await reached(['mfa', 'silver'], { amr: ['pwd'], acr: 'bronze' }), 'SECOND_FACTOR')
  assert.equal(await reached(['mfa', 'silver'], {}), 'SECOND_FACTOR', 'userinfo is not asked for it')
  await kit.command('second-factor.set', { isDemanded: false })
  await kit.command('sso.update', { provider: 'corp', settings: settings() })
})
