import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { realEffects } from '../../../shared/effects.ts'
import type { TunnelError } from '../../../shared/errors.ts'
import {
  areTokenCredentials,
  parseCredentials,
  type TokenCredentials,
} from '../../../shared/identity/credentials.ts'
import { selfSignedIdentity } from '../../../shared/identity/self-signed.ts'
import { exchange } from '../../../shared/network/relay-exchange.ts'
import { Secret } from '../../../shared/secret.ts'
import { dialRelay, type TunnelIdentity } from '../../../shared/tunnel/dial-relay.ts'
import { jumpingEffects } from '../../support/clocks.ts'
import { eventually, within } from '../../support/deadline.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { echoTarget, type TcpTarget } from '../../support/tcp-kit.ts'

/** How soon the end of a token or of a right must show, in ms. */
const ENDED_MS = 5_000

describe('a connector that comes by tokens', () => {
  const effects = jumpingEffects()
  let kit: RelayKit
  let target: TcpTarget

  before(async () => {
    kit = await startKit({ effects })
    target = await echoTarget()
    await kit.startAgent({ site: 'hq', rules: { echo: target.port, other: target.port } })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  const credentialsOf = async (connector: string): Promise<TokenCredentials> => {
    const environment = { tenant: 'default', environment: 'production' }
    const params = { ...environment, connector, resources: ['hq/echo'], proof: 'token' }
    const answer = (await kit.command('connector.add', params)) as { credentials: string }
    const credentials = parseCredentials(answer.credentials)
    assert.ok(areTokenCredentials(credentials))
    return credentials
  }

  /** What the token endpoint answers to who shows `client` in TLS. */
  const ask = async (credentials: TokenCredentials, client?: Pick<TunnelIdentity, 'certificate' | 'key'>) => {
    const form = new URLSearchParams({
      ...{ grant_type: 'client_credentials', client_id: credentials.clientId },
      client_secret: credentials.clientSecret.reveal(),
    })
    const signal = AbortSignal.timeout(10_000)
    const answer = await exchange(
      { address: kit.relay.address, trust: credentials, signal, ...(client === undefined ? {} : { client }) },
      {
        ...{ method: 'POST', path: '/api/v1/oauth/token', body: form.toString(), mayBeInspected: false },
        contentType: 'application/x-www-form-urlencoded',
      },
    )
    return JSON.parse(answer?.text ?? '') as { code?: string; access_token?: string }
  }

  const knock = (identity: TunnelIdentity, path: '/v1/agent' | '/v1/connector') =>
    dialRelay(kit.relay.address, path, identity, AbortSignal.timeout(10_000)).then(
      (socket) => {
        socket.destroy()
        return 'let in'
      },
      (error: TunnelError) => error.code,
    )

  it('opens what was granted, and nothing else', async () => {
    const connector = await kit.connect(await credentialsOf('app'))
    const stream = connector.connect('hq/echo')
    stream.write('by token')
    assert.equal(String((await within(once(stream, 'data'), 'an echo'))[0]), 'by token')
    stream.destroy()
    const [error] = await within(once(connector.connect('hq/other'), 'error'), 'a refusal')
    assert.equal((error as TunnelError).code, 'DENIED_BY_RELAY')
    const more = { tenant: 'default', environment: 'production', connector: 'app', resource: 'hq/other' }
    await kit.command('grant.add', more)
    const other = connector.connect('hq/other')
    await within(once(other, 'connect'), 'a stream after the grant')
    other.destroy()
    await connector.close()
  })

  it('renews its token, and the session and its streams outlive the first one', async (t) => {
    const connector = await kit.connect(await credentialsOf('long'))
    const stream = connector.connect('hq/echo')
    await within(once(stream, 'connect'), 'a stream')
    const [live] = kit.relay.sessions.list().filter(({ principal }) => principal.kind === 'connector')
    assert.ok(live)
    const { mock: prolonged } = t.mock.method(kit.relay.sessions, 'prolong')
    for (let count = 1; count <= 3; count++) {
      effects.jump(610_000)
      await eventually(
        () => prolonged.calls.filter(({ arguments: [one] }) => one === live).length === count,
        'the next token',
      )
      stream.write('x')
      await within(once(stream, 'data'), 'an echo')
    }
    assert.ok(kit.relay.sessions.list().includes(live), 'half an hour later it is the same session')
    stream.destroy()
    await connector.close()
  })

  it('S41: loses its session when the token runs out, and comes back with another', async () => {
    const ups: number[] = []
    // Its own clock stands still, so it does not know that the token is over.
    const connector = await kit.connect(await credentialsOf('idle'), {
      effects: realEffects,
      onUp: () => ups.push(1),
    })
    effects.jump(901_000)
    await within(kit.log.until('session closed', { code: 'EXPIRED' }), 'the end of the session', ENDED_MS)
    await eventually(() => ups.length === 2, 'the next session')
    await connector.close()
  })

  it('loses its session when it is revoked, and gets no token any more', async () => {
    const credentials = await credentialsOf('gone')
    const revoked = Promise.withResolvers<void>()
    const connector = await kit.connect(credentials, {
      onDown: ({ code }) => (code === 'REVOKED' ? revoked.resolve() : undefined),
    })
    const stream = connector.connect('hq/echo')
    await within(once(stream, 'connect'), 'a stream')
    const ended = once(stream, 'error')
    await kit.command('connector.revoke', { tenant: 'default', environment: 'production', connector: 'gone' })
    await within(kit.log.until('session closed', { code: 'REVOKED' }), 'the end of the session', ENDED_MS)
    assert.equal(((await within(ended, 'the end of the stream', ENDED_MS))[0] as TunnelError).code, 'REVOKED')
    await within(revoked.promise, 'the refusal')
    assert.equal((await ask(credentials, await selfSignedIdentity(effects))).code, 'LOGIN')
    await connector.close()
  })

  it('S41: must show the certificate that its token is bound to', async () => {
    const credentials = await credentialsOf('bound')
    const [own, other] = [await selfSignedIdentity(effects), await selfSignedIdentity(effects)]
    const token = new Secret((await ask(credentials, own)).access_token ?? '')
    const { ca, serverName } = credentials
    const shown = (client: typeof own, with_ = token) => ({ ca, serverName, ...client, token: with_ })
    assert.equal(await knock(shown(own), '/v1/connector'), 'let in')
    assert.equal(await knock(shown(other), '/v1/connector'), 'IDENTITY')
    assert.equal(await knock(shown(own), '/v1/agent'), 'IDENTITY', 'no token is an agent')
    assert.equal(await knock(shown(own, new Secret(`${token.reveal()}x`)), '/v1/connector'), 'IDENTITY')
    assert.equal((await ask(credentials)).code, 'IDENTITY', 'no certificate, no token')
  })

  it('S41: the token of a machine opens no session, and that of a connector asks the API for nothing', async () => {
    const made = (await kit.command('machine.add', { tenant: 'default', machine: 'm', role: 'owner' })) as {
      clientId: string
      clientSecret: string
    }
    const { ca, serverName, ...credentials } = await credentialsOf('both')
    const machine = {
      ...{ ...credentials, ca, serverName },
      ...{ clientId: made.clientId, clientSecret: new Secret(made.clientSecret) },
    }
    const client = await selfSignedIdentity(effects)
    const token = new Secret((await ask(machine, client)).access_token ?? '')
    assert.notEqual(token.reveal(), '')
    assert.equal(await knock({ ca, serverName, ...client, token }, '/v1/connector'), 'IDENTITY')
    const own = (await ask({ ...credentials, ca, serverName }, client)).access_token ?? ''
    await assert.rejects(kit.relay.machineTokens.verify('machine', own, undefined), { code: 'LOGIN' })
  })
})
