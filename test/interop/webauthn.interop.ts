import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core'
import { linkOf, PASSWORD, type PeopleKit, startPeopleKit } from '../relay/people/people-kit.ts'

/**
 * A key as second factor, with Debian's Chromium and its virtual authenticator: registration, login, and what must be refused.
 * The pages talk to the relay as a page of its own would; cookies are the browser's business.
 *
 *     node test/run.ts test/interop/webauthn.interop.ts
 */

const ME = '/tenants/default/me'

/** What a page does; run in the browser, so it is a text. */
const SEND = `(async ({ method, path, body }) => {
  const response = await fetch('/api/v1' + path, {
    method,
    headers: { 'content-type': 'application/json', 'x-sallyport-request': '1' },
    body: JSON.stringify(body),
  })
  return { status: response.status, body: await response.json() }
})`
const CREATE = `(async (options) => {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options)
  return (await navigator.credentials.create({ publicKey })).toJSON()
})`
const GET = `(async (options) => {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options)
  return (await navigator.credentials.get({ publicKey })).toJSON()
})`

interface Reply {
  readonly status: number
  readonly body: Record<string, unknown>
}

/** The text of a function of the page, called with `value`. */
function run<T>(page: Page, code: string, value: unknown): Promise<T> {
  return page.evaluate(`${code}(${JSON.stringify(value)})`) as Promise<T>
}

const send = (page: Page, path: string, body: object, method = 'POST') =>
  run<Reply>(page, SEND, { method, path, body })

async function openBrowser(t: TestContext, kit: PeopleKit): Promise<BrowserContext> {
  const { publicKey } = kit.relay.authority.authority.certificate
  const spki = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64')
  const profile = await mkdtemp(join(tmpdir(), 'sallyport-chromium-'))
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium',
    // The relay's own CA, known by its key: with any other certificate error there would be no WebAuthn.
    args: ['--no-sandbox', `--ignore-certificate-errors-spki-list=${spki}`],
  })
  t.after(async () => {
    await browser.close()
    await rm(profile, { recursive: true, force: true })
  })
  return browser
}

/** A page of the relay, with an authenticator at its machine. */
async function openPage(
  browser: BrowserContext,
  kit: PeopleKit,
): Promise<{ page: Page; devices: CDPSession; id: string }> {
  const page = await browser.newPage()
  await page.goto(`https://localhost:${kit.relay.address.port}/healthz`)
  const devices = await browser.newCDPSession(page)
  await devices.send('WebAuthn.enable')
  const { authenticatorId: id } = await devices.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'usb', automaticPresenceSimulation: true },
  })
  return { page, devices, id }
}

async function register(page: Page): Promise<Record<string, unknown>> {
  const begun = await send(page, `${ME}/webauthn`, { name: 'yellow key' })
  assert.equal(begun.status, 200, JSON.stringify(begun.body))
  const answer = await run<Record<string, unknown>>(page, CREATE, begun.body.options)
  const path = `${ME}/webauthn/${String(begun.body.id)}/confirm`
  const confirmed = await send(page, path, { answer })
  assert.equal(confirmed.status, 200, JSON.stringify(confirmed.body))
  assert.equal((await send(page, path, { answer })).status, 404, 'a registration is taken once')
  return answer
}

async function begin(page: Page): Promise<{ pending: string; webauthn: { challenge: string } }> {
  const begun = await send(page, '/session', { login: 'olga', password: PASSWORD })
  assert.equal(begun.body.state, 'second-factor')
  return begun.body as { pending: string; webauthn: { challenge: string } }
}

const end = (page: Page, pending: string, answer: object) =>
  send(page, '/session/second-factor', { pending, answer: { kind: 'webauthn', answer } })

test('a key is registered and asked for at the login, and nothing else stands in for it', async (t) => {
  const kit = await startPeopleKit(t)
  const browser = await openBrowser(t, kit)
  const { page, devices, id } = await openPage(browser, kit)
  const link = linkOf(await kit.command('setup.link', {}))
  assert.equal((await send(page, '/links/spend', { link, login: 'olga', password: PASSWORD })).status, 200)
  assert.equal((await send(page, '/session', { login: 'olga', password: PASSWORD })).body.state, 'complete')
  assert.equal(await page.evaluate('document.cookie'), '', 'S07: no script sees the session')
  await register(page)
  assert.equal((await send(page, '/session/logout', {})).status, 200)

  const first = await begin(page)
  const signed = await run<{ response: { signature: string } }>(page, GET, first.webauthn)
  const forged = structuredClone(signed)
  forged.response.signature = `${signed.response.signature.slice(0, -4)}AAAA`
  assert.equal((await end(page, first.pending, forged)).status, 401, 'another signature')
  const second = await begin(page)
  assert.equal((await end(page, second.pending, signed)).status, 401, 'the answer to another challenge')
  const right = await end(page, first.pending, signed)
  assert.equal(right.status, 200, JSON.stringify(right.body))
  assert.equal((await end(page, first.pending, signed)).status, 401, 'the same answer twice')
  const people = await page.evaluate(`fetch('/api/v1/tenants/default/people').then(({ status }) => status)`)
  assert.equal(people, 200)

  // A copy of the key that has counted less: a clone.
  const { credentials } = await devices.send('WebAuthn.getCredentials', { authenticatorId: id })
  const [credential] = credentials
  assert.ok(credential !== undefined)
  await devices.send('WebAuthn.clearCredentials', { authenticatorId: id })
  await devices.send('WebAuthn.addCredential', {
    authenticatorId: id,
    credential: { ...credential, signCount: 0 },
  })
  const third = await begin(page)
  const byClone = await run<object>(page, GET, third.webauthn)
  assert.equal((await end(page, third.pending, byClone)).status, 401, 'a counter that goes back')
})
