import assert from 'node:assert/strict'
import https from 'node:https'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import * as oauth from 'openid-client'
import { realEffects } from '../../../shared/effects.ts'
import { type ClientIdentity, relayTlsOptions } from '../../../shared/identity/relay-tls.ts'
import { selfSignedIdentity } from '../../../shared/identity/self-signed.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'

interface Made {
  readonly clientId: string
  readonly clientSecret: string
}

describe('the tokens of machines, asked for by openid-client', () => {
  let kit: RelayKit
  let machine: Made

  before(async () => {
    kit = await startKit()
    machine = (await kit.command('machine.add', {
      ...{ tenant: 'default', machine: 'deploy', role: 'auditor', viaApi: true },
    })) as Made
  })

  after(() => kit[Symbol.asyncDispose]())

  const issuer = () => new URL(`https://127.0.0.1:${kit.port}`)

  /** As fetch, with the relay's CA and a certificate of the client's. */
  const fetchAs =
    (client?: ClientIdentity) =>
    async (url: string, init: { method?: string; headers?: Record<string, string>; body?: unknown }) => {
      const ca = kit.relay.authority.authority.certificate.toString()
      const sent = https.request(url, {
        ...relayTlsOptions({ serverName: '127.0.0.1', ca }, client),
        ...{
          agent: false,
          method: init.method ?? 'GET',
          headers: Object.fromEntries(new Headers(init.headers)),
        },
      })
      sent.end(init.body === undefined || init.body === null ? undefined : String(init.body))
      const { promise, resolve, reject } = Promise.withResolvers<Response>()
      sent.on('error', reject).on('response', (response) => {
        const headers = new Headers(
          Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
        )
        buffer(response).then(
          (body) => resolve(new Response(body, { status: response.statusCode ?? 0, headers })),
          reject,
        )
      })
      return promise
    }

  const discover = (made: Made, how: oauth.ClientAuth, client?: ClientIdentity) =>
    oauth.discovery(issuer(), made.clientId, undefined, how, {
      algorithm: 'oauth2',
      [oauth.customFetch]: fetchAs(client),
    })

  const inventory = async (config: oauth.Configuration, token: string) =>
    (
      await oauth.fetchProtectedResource(
        config,
        token,
        new URL('/api/v1/tenants/default/sites', issuer()),
        'GET',
      )
    ).status

  for (const [name, how] of [
    ['client_secret_basic', oauth.ClientSecretBasic],
    ['client_secret_post', oauth.ClientSecretPost],
  ] as const) {
    it(`by what it discovers, with ${name}`, async () => {
      const config = await discover(machine, how(machine.clientSecret))
      assert.ok(config.serverMetadata().token_endpoint_auth_methods_supported?.includes(name))
      const { access_token: token, expires_in: life } = await oauth.clientCredentialsGrant(config)
      assert.equal(life, 900)
      assert.equal(await inventory(config, token), 200)
    })

    it(`are refused with invalid_client for a wrong secret, with ${name}`, async () => {
      const wrong = how(machine.clientSecret.replace(/.{6}$/, 'AAAAAA'))
      const config = await discover(machine, wrong)
      await assert.rejects(oauth.clientCredentialsGrant(config), { status: 401 })
    })
  }

  it('are bound to the certificate that it shows, one of its own making', async () => {
    const client = await selfSignedIdentity(realEffects)
    const config = await discover(machine, oauth.ClientSecretBasic(machine.clientSecret), client)
    const { access_token: token } = await oauth.clientCredentialsGrant(config)
    assert.equal(await inventory(config, token), 200)
    const other = await discover(machine, oauth.ClientSecretBasic(machine.clientSecret))
    await assert.rejects(inventory(other, token), { status: 401 })
  })

  it('S41: a secret shown twice, another grant and other words than Basic are refused', async () => {
    const post = async (form: Record<string, string>, authorization?: string) => {
      const headers = {
        'content-type': 'application/x-www-form-urlencoded',
        ...(authorization && { authorization }),
      }
      const body = new URLSearchParams(form).toString()
      const answer = await fetchAs()(`${issuer()}api/v1/oauth/token`, { method: 'POST', headers, body })
      const { error, code } = (await answer.json()) as { error?: string; code: string }
      return [answer.status, error, code]
    }
    const grant = { grant_type: 'client_credentials' }
    const basic = `Basic ${Buffer.from(`${machine.clientId}:${machine.clientSecret}`).toString('base64')}`
    const inBody = { ...grant, client_id: machine.clientId, client_secret: machine.clientSecret }
    assert.deepEqual(await post(grant), [401, 'invalid_client', 'LOGIN'])
    assert.deepEqual(await post(inBody, basic), [400, 'invalid_request', 'INPUT'])
    assert.deepEqual(await post({ ...grant, client_id: 'other' }, basic), [400, 'invalid_request', 'INPUT'])
    assert.equal((await post({ ...grant, client_id: machine.clientId }, basic))[0], 200)
    assert.deepEqual(await post(grant, 'Basic %%%'), [401, undefined, 'LOGIN'])
    assert.deepEqual(await post(grant, `Basic ${'A'.repeat(4_000)}`), [401, 'invalid_client', 'LOGIN'])
    assert.deepEqual(await post({ grant_type: 'password' }, basic), [
      400,
      'unsupported_grant_type',
      'HTTP_BAD_REQUEST',
    ])
  })

  it('Basic opens nothing but the route for tokens', async () => {
    const authorization = `Basic ${Buffer.from(`${machine.clientId}:${machine.clientSecret}`).toString('base64')}`
    const answer = await fetchAs()(`${issuer()}api/v1/tenants/default/sites`, {
      headers: { authorization },
    })
    assert.equal(answer.status, 401)
  })
})
