import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { before, describe, it, type TestContext } from 'node:test'
import { decodeProtectedHeader, SignJWT } from 'jose'
import { SigningKeys } from '../../../relay/machines/signing-keys.ts'
import { MachineTokens } from '../../../relay/machines/tokens.ts'
import { relayTlsOptions } from '../../../shared/identity/relay-tls.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { type PeopleKit, setUpOwner, startPeopleKit } from '../people/people-kit.ts'
import { memorySecrets } from './memory-secrets.ts'

const HOST = 'relay.example.org'
const SUBJECT = { kind: 'machine', tenantId: 'default', id: 'm'.repeat(26) } as const

/** Tokens of a relay with its own store, or the one that is given. */
function tokensOf(effects: FakeEffects, secrets = memorySecrets(), address = { host: HOST, port: 443 }) {
  return new MachineTokens(new SigningKeys(secrets, effects), effects, () => address)
}

/** What a token of the subject says that is made now. */
const HELD = (effects: FakeEffects) => ({ ...SUBJECT, expiresAt: effects.date() + 900_000 })

describe('S41: the tokens of machines', () => {
  const effects = new FakeEffects()
  const secrets = memorySecrets()
  const tokens = tokensOf(effects, secrets)
  let good: string
  before(async () => {
    good = (await tokens.issue(SUBJECT, undefined)).reveal()
  })

  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const refusedIs = (token: string, why: string) =>
    assert.rejects(tokens.verify('machine', token, undefined), { code: 'LOGIN' }, why)

  it('say whom they are for, as long as they hold', async () => {
    assert.deepEqual(await tokens.verify('machine', good, undefined), HELD(effects))
  })

  it('are refused with another algorithm, none, or a key that the header names', async () => {
    const [head = '', payload = '', signature = ''] = good.split('.')
    const { kid = '' } = decodeProtectedHeader(good)
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
    await refusedIs(`${part({ alg: 'none', typ: 'at+jwt' })}.${payload}.`, 'alg none')
    await refusedIs(`${part({ alg: 'None', typ: 'at+jwt' })}.${payload}.${signature}`, 'alg None')
    const swapped = `${part({ alg: 'HS256', typ: 'at+jwt' })}.${payload}`
    for (const key of ['', HOST, head]) {
      await refusedIs(`${swapped}.${createHmac('sha256', key).update(swapped).digest('base64url')}`, 'HS256')
    }
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    for (const extra of [
      {},
      { kid: '../../../../dev/null' },
      { kid },
      { kid, tenant: 'default' },
      { jwk: publicKey.export({ format: 'jwk' }) },
      { jku: 'https://evil.example/keys' },
      { crit: ['x'], x: 1 },
    ]) {
      const header = { alg: 'EdDSA', typ: 'at+jwt', ...extra }
      const forged = await new SignJWT({ ...claims })
        .setProtectedHeader(header)
        .sign(privateKey, { crit: { x: true } })
      await refusedIs(forged, JSON.stringify(Object.keys(extra)))
    }
    const changed = part({ ...claims, tenant: 'other' })
    await refusedIs(`${head}.${changed}.${signature}`, 'changed')
    for (const torn of [
      '..',
      'a.b.c',
      `${head}.${payload}.`,
      `${good}x`,
      `${head}.${payload}.${signature}.x`,
    ]) {
      await refusedIs(torn, torn.slice(0, 9))
    }
  })

  it('are refused after 15 minutes, before their time, and by a relay with another store or another name', async () => {
    const later = new FakeEffects({ date: effects.date() })
    const own = tokensOf(later)
    const token = (await own.issue(SUBJECT, undefined)).reveal()
    await assert.rejects(tokens.verify('machine', token, undefined), { code: 'LOGIN' })
    later.advance(899_000)
    assert.deepEqual(await own.verify('machine', token, undefined), HELD(effects))
    later.advance(2_000)
    await assert.rejects(own.verify('machine', token, undefined), { code: 'LOGIN' })
    const renamed = tokensOf(effects, secrets, { host: 'other.example.org', port: 443 })
    await assert.rejects(renamed.verify('machine', good, undefined), { code: 'LOGIN' })
  })

  it('hold after the relay was started again, and at every relay of the same store', async () => {
    const beside = tokensOf(effects, secrets, { host: HOST, port: 8443 })
    assert.deepEqual(await beside.verify('machine', good, undefined), HELD(effects))
    const other = (await beside.issue({ ...SUBJECT, tenantId: 'acme' }, undefined)).reveal()
    assert.equal((await tokens.verify('machine', other, undefined)).tenantId, 'acme')
    const kids = [good, other].map((token) => decodeProtectedHeader(token).kid)
    assert.notEqual(kids[0], kids[1], 'each tenant has a key of its own')
  })
})

/** Asks for a token as RFC 6749 section 4.4.2 says. */
async function askToken({ relay }: PeopleKit, form: Record<string, string>) {
  const ca = relay.authority.authority.certificate.toString()
  const sent = https.request({
    ...relayTlsOptions({ serverName: 'localhost', ca }),
    ...{
      host: '127.0.0.1',
      port: relay.address.port,
      method: 'POST',
      path: '/api/v1/oauth/token',
      agent: false,
    },
    headers: {
      host: `localhost:${relay.address.port}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
  })
  sent.end(new URLSearchParams(form).toString())
  return new Promise<{ status: number; body: Record<string, unknown> }>((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', (response) => {
      text(response).then(
        (body) =>
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(body) as Record<string, unknown> }),
        reject,
      )
    })
  })
}

describe('a machine asks the API', () => {
  const kitWith = async (t: TestContext, role: string, viaApi: boolean) => {
    const kit = await startPeopleKit(t)
    await setUpOwner(kit)
    const made = await kit.command('machine.add', { machine: 'deploy', role, viaApi })
    const form = {
      ...{ grant_type: 'client_credentials' },
      ...{ client_id: String(made.clientId), client_secret: String(made.clientSecret) },
    }
    return { kit, form }
  }

  it('with a token for its secret, in its role, until it is revoked', async (t) => {
    const { kit, form } = await kitWith(t, 'auditor', true)
    const { status, body } = await askToken(kit, form)
    assert.deepEqual([status, body.token_type, body.expires_in], [200, 'Bearer', 900])
    const bearer = String(body.access_token)
    const inventory = () => kit.ask('GET', '/tenants/default/sites', undefined, { bearer })
    assert.equal((await inventory()).status, 200)
    const write = await kit.ask('POST', '/tenants', { tenant: 'new' }, { bearer })
    assert.equal(write.status, 404, write.text)
    const freeze = await kit.ask('PUT', '/tenants/default/freezes', { kind: 'tenant' }, { bearer })
    assert.equal(freeze.status, 403, freeze.text)
    await kit.command('machine.revoke', { machine: 'deploy' })
    assert.equal((await inventory()).status, 401)
    assert.equal((await askToken(kit, form)).status, 401)
  })

  it('in production only where that was given', async (t) => {
    const { kit, form } = await kitWith(t, 'auditor', false)
    const bearer = String((await askToken(kit, form)).body.access_token)
    const inventory = async (environment: string) =>
      (await kit.ask('GET', `/tenants/default/sites?environment=${environment}`, undefined, { bearer }))
        .status
    assert.deepEqual([await inventory('test'), await inventory('production')], [200, 403])
  })

  it('not with a wrong secret, another id or another grant; all unknown ones are told the same', async (t) => {
    const { kit, form } = await kitWith(t, 'auditor', false)
    const wrong = `${form.client_secret.slice(0, -3)}AAA`
    const answers = await Promise.all([
      askToken(kit, { ...form, client_secret: wrong }),
      askToken(kit, { ...form, client_id: 'x'.repeat(26) }),
      askToken(kit, { ...form, client_secret: wrong.replace('_default_', '_nobody_') }),
      askToken(kit, { ...form, client_secret: 'x' }),
    ])
    const told = answers.map(({ status, body: { traceId: _, ...body } }) => JSON.stringify([status, body]))
    assert.equal(new Set(told).size, 1)
    assert.equal(answers[0]?.status, 401)
    assert.equal((await askToken(kit, { ...form, grant_type: 'password' })).status, 400)
  })
})
