import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, beforeEach, test } from 'node:test'
import { generate } from 'selfsigned'
import { LOGIN_RATES } from '../../relay/people/login-rates.ts'
import { Browser, type Page } from '../relay/sso/browser.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

// Single sign-on with pysaml2 as the identity provider. Run alone, with xmlsec1 and with pysaml2 in a directory:
// INTEROP_PYTHON=DIR node test/run.ts test/interop/saml.interop.ts

const ENTITY = 'https://idp.example/idp'
const ROUTES = '/api/v1/sso/default/corp'
const SESSION = '__Host-sallyport'
const RULES = [{ claim: 'urn:oid:1.3.6.1.4.1.5923.1.1.1.7', value: 'urn:example:ops', role: 'auditor' }]
const MAIL = 'urn:oid:0.9.2342.19200300.100.1.3'

interface Answer {
  readonly error?: string
  readonly [name: string]: unknown
}

let kit: RelayKit
let directory: string
let python: ChildProcessWithoutNullStreams
let answers: AsyncIterator<string>
let certificate: string
let browser: Browser
let subject = 0

before(async () => {
  kit = await startKit({
    apiLimits: { addressBurst: 10_000 },
    logins: { rates: { ...LOGIN_RATES, addressBurst: 1_000 } },
  })
  directory = await mkdtemp(join(tmpdir(), 'sallyport-saml-'))
  const made = await generate([{ name: 'commonName', value: 'idp' }], {
    keyType: 'rsa',
    keySize: 2048,
    algorithm: 'sha256',
  })
  certificate = made.cert.replaceAll('\r', '')
  await writeFile(join(directory, 'key.pem'), made.private, { mode: 0o600 })
  await writeFile(join(directory, 'cert.pem'), certificate)
  await kit.command('sso.add', { provider: 'corp', settings: settings() })
  const { text } = await newBrowser().visit(`${origin()}${ROUTES}/metadata`)
  await writeFile(join(directory, 'sp.xml'), text)
  const script = join(import.meta.dirname, 'saml-idp.py')
  const path = process.env.INTEROP_PYTHON
  python = spawn('/usr/bin/python3', [script, directory, ENTITY], {
    env: { ...process.env, ...(path === undefined ? {} : { PYTHONPATH: path }) },
  })
  python.stderr.pipe(process.stderr)
  answers = createInterface({ input: python.stdout })[Symbol.asyncIterator]()
})

after(async () => {
  python.kill()
  await kit[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

beforeEach(() => {
  browser = newBrowser()
  subject++
})

function settings(changes: object = {}): object {
  return {
    ...{ kind: 'saml', entityId: ENTITY, signOnUrl: `${ENTITY}/sso`, logoutUrl: `${ENTITY}/slo` },
    ...{ certificates: [certificate], rules: RULES, loginClaim: MAIL, takesEncrypted: true },
    ...changes,
  }
}

function origin(): string {
  return `https://127.0.0.1:${kit.port}`
}

function newBrowser(): Browser {
  return new Browser([kit.relay.authority.authority.certificate.toString()])
}

async function ask(command: object): Promise<Answer> {
  python.stdin.write(`${JSON.stringify(command)}\n`)
  const { value } = await answers.next()
  return JSON.parse(String(value)) as Answer
}

async function start(query = ''): Promise<string> {
  const page = await browser.visit(`${origin()}${ROUTES}/start${query}`, { stops: true })
  assert.equal(page.status, 303, page.text)
  return String(page.headers.location)
}

/** What the provider posts. */
async function responseTo(url: string, changes: object = {}): Promise<string> {
  const attributes = { mail: [`eve-${subject}@example.org`], eduPersonEntitlement: ['urn:example:ops'] }
  const instant = Math.floor(Date.now() / 1_000)
  const answer = await ask({ op: 'login', url, subject: `s-${subject}`, attributes, instant, ...changes })
  assert.equal(answer.error, undefined)
  return String(answer.response)
}

function post(SAMLResponse: string, by = browser): Promise<Page> {
  return by.visit(`${origin()}${ROUTES}/acs`, {
    form: { SAMLResponse },
    headers: { origin: 'https://idp.example' },
  })
}

async function refused(page: Page, pattern: RegExp): Promise<void> {
  const problem = JSON.parse(page.text) as { code: string; detail?: string }
  assert.equal(problem.code, 'SIGN_ON', page.text)
  assert.equal(browser.cookie(origin(), SESSION), undefined)
  await kit.relay.trail.flush()
  const { items } = (await kit.command('audit.list', { action: 'sso.refuse' })) as {
    items: { detail: string }[]
  }
  assert.ok(
    items.some(({ detail }) => pattern.test(detail)),
    JSON.stringify(items.map(({ detail }) => detail)),
  )
}

function change(response: string, edit: (xml: string) => string): string {
  const xml = Buffer.from(response, 'base64').toString()
  const edited = edit(xml)
  assert.notEqual(edited, xml)
  return Buffer.from(edited).toString('base64')
}

const whoami = () => `${origin()}/api/v1/tenants/default/environments`

test('a person logs in by SAML: the request is signed, the assertion too, the rules give the role', async () => {
  const page = await post(await responseTo(await start('?returnTo=/console')))
  assert.equal(page.status, 200, page.text)
  assert.match(page.text, /url=\/console"/)
  assert.equal((await browser.visit(whoami())).status, 200)
})

test('a response is taken once, and from the browser that asked only', async () => {
  const response = await responseTo(await start())
  await refused(await post(response, newBrowser()), /begun none/)
  assert.equal((await post(response)).status, 200)
  const again = await post(response)
  assert.equal((JSON.parse(again.text) as { code: string }).code, 'SIGN_ON')
})

test('a response to another request lets nobody in', async () => {
  const first = await responseTo(await start())
  await start()
  await refused(await post(first), /InResponseTo/)
})

test('an assertion without a signature, or with a signature of the response only, lets nobody in', async () => {
  await refused(await post(await responseTo(await start(), { sign_assertion: false })), /signature/i)
  await refused(
    await post(await responseTo(await start(), { sign_assertion: false, sign_response: true })),
    /signature/i,
  )
})

test('an assertion that is signed by SHA-1 lets nobody in', async () => {
  await refused(await post(await responseTo(await start(), { sha1: true })), /SHA-1/)
})

test('an assertion that was altered lets nobody in', async () => {
  const response = await responseTo(await start())
  await refused(await post(change(response, (xml) => xml.replace(`s-${subject}<`, 's-boss<'))), /signature/i)
})

test('a signed assertion that is wrapped beside, in or round a forged one lets nobody in', async () => {
  const end = /<\/[\w]+:Assertion>$/
  const signature = /<(\w+):Signature [\s\S]*<\/\1:Signature>/
  const wrap: readonly ((signed: string, forged: string) => string)[] = [
    (signed, forged) => `${forged}${signed}`,
    (signed, forged) => `${signed}${forged}`,
    (signed, forged) => forged.replace(end, (close) => `${signed}${close}`),
    (signed, forged) =>
      forged.replace(signature, (inner, ds: string) =>
        inner.replace(`</${ds}:Signature>`, `<${ds}:Object>${signed}</${ds}:Object></${ds}:Signature>`),
      ),
    (signed, forged) =>
      `<x:Extensions xmlns:x="urn:oasis:names:tc:SAML:2.0:protocol">${signed}</x:Extensions>${forged}`,
    // The forged one takes the place and the name of the signed one.
    (signed, forged) =>
      `<x:Other xmlns:x="urn:x">${signed}</x:Other>${forged.replace('"forged"', `"${/ ID="([^"]+)"/.exec(signed)?.[1]}"`)}`,
  ]
  for (const [index, build] of wrap.entries()) {
    const good = await responseTo(await start())
    const wrapped = change(good, (xml) =>
      xml.replace(/<(\w+):Assertion [\s\S]*<\/\1:Assertion>/, (signed) => {
        const forged = signed.replace(`s-${subject}<`, 's-boss<').replace(/ ID="[^"]+"/, ' ID="forged"')
        const built = build(signed, forged)
        assert.ok(built.includes(signed) && built.includes('s-boss<'), `way ${index} is no wrapping`)
        return built
      }),
    )
    await refused(await post(wrapped), /signature|assertion/i)
  }
})

test('an assertion for another audience or recipient, and one that is past its time, let nobody in', async () => {
  const elsewhere = { changes: { sp_entity_id: 'https://other.example/sp' } }
  await refused(await post(await responseTo(await start(), elsewhere)), /audience/)
  await refused(
    await post(await responseTo(await start(), { changes: { destination: `${origin()}/elsewhere` } })),
    /recipient/,
  )
  await refused(await post(await responseTo(await start(), { minutes: -30 })), /expired|subject confirmation/)
})

test('an assertion that is encrypted by AES-GCM for the key in the metadata lets its person in, one by CBC does not', async () => {
  const response = await responseTo(await start(), { encrypted: 'aes256-gcm' })
  assert.match(Buffer.from(response, 'base64').toString(), /EncryptedAssertion/)
  const page = await post(response)
  assert.equal(page.status, 200, page.text)
  browser = newBrowser()
  await refused(
    await post(await responseTo(await start(), { encrypted: 'aes256-cbc' })),
    /encrypted by aes256-cbc/,
  )
})

test('who has no name that lasts is not let in, nor whom no rule gives a role', async () => {
  await refused(await post(await responseTo(await start(), { transient: true })), /NameID/)
  const attributes = { mail: ['x@example.org'] }
  await refused(await post(await responseTo(await start(), { attributes })), /No rule/)
})

test('unsolicited responses are refused unless they are allowed', async () => {
  const changes = { changes: { in_response_to: null } }
  await refused(await post(await responseTo(await start(), changes), newBrowser()), /begun none/)
  await kit.command('sso.update', { provider: 'corp', settings: settings({ allowsUnsolicited: true }) })
  const response = await responseTo(await start(), changes)
  const other = newBrowser()
  assert.equal((await post(response, other)).status, 200)
  const again = await post(response, newBrowser())
  assert.match(again.text, /SIGN_ON/)
  await kit.command('sso.update', { provider: 'corp', settings: settings() })
})

test('a login that asks anew says so, and takes no older one', async () => {
  const url = await start('?fresh=true')
  const instant = Math.floor(Date.now() / 1_000) - 3_600
  await refused(await post(await responseTo(url, { instant })), /ask the person again/)
  assert.equal((await post(await responseTo(await start('?fresh=true')))).status, 200)
})

test('logging out here sends the provider a request that it takes', async () => {
  await post(await responseTo(await start()))
  const headers = { origin: origin(), 'x-sallyport-request': '1' }
  const { text } = await browser.visit(`${origin()}/api/v1/sso/logout`, { json: {}, headers })
  const { next } = JSON.parse(text) as { next: string }
  const taken = await ask({ op: 'take_logout', url: next })
  assert.equal(taken.error, undefined)
  assert.equal(taken.subject, `s-${subject}`)
  assert.equal((await browser.visit(whoami())).status, 401)
})

test('the provider ends a session by a signed request, and gets an answer; an unsigned one ends nothing', async () => {
  await post(await responseTo(await start()))
  const to = `${origin()}${ROUTES}/logout`
  const send = async (SAMLRequest: string) => browser.visit(to, { form: { SAMLRequest }, stops: true })
  const bare = await ask({ op: 'ask_logout', to, subject: `s-${subject}`, sign: false })
  assert.equal((await send(String(bare.request))).status, 403)
  assert.equal((await browser.visit(whoami())).status, 200)
  const signed = await ask({ op: 'ask_logout', to, subject: `s-${subject}` })
  assert.equal(signed.error, undefined)
  const page = await send(String(signed.request))
  assert.equal(page.status, 303, page.text)
  const answer = await ask({ op: 'read_answer', url: String(page.headers.location) })
  assert.match(String(answer.status ?? answer.error), /Success/)
  assert.equal((await browser.visit(whoami())).status, 401)
  assert.equal((await send(String(signed.request))).status, 403)
})
