import assert from 'node:assert/strict'
import net from 'node:net'
import { after, before, describe, it } from 'node:test'
import { DECLARE_LIMITS } from '../../../relay/declare/document.ts'
import { parseCredentials } from '../../../shared/identity/credentials.ts'
import { actAt } from '../../support/acts.ts'
import { CONNECTOR, DeclareKit, GRANT, type Planned } from './declare-kit.ts'

let kit: DeclareKit

before(async () => {
  kit = await DeclareKit.start()
})

after(() => kit[Symbol.asyncDispose]())

describe('what was planned', () => {
  it('is not applied once somebody has changed a section of it', async () => {
    const { tenant, token } = await kit.newTenant()
    const document = { connectors: [CONNECTOR], settings: { lockoutFailures: 5 } }
    const { digest } = (await kit.plan(document, token, tenant)).body
    await kit.api.kit.command('lockout.set', { tenant, failures: 6 })
    const before = await kit.stateOf(tenant)
    const answer = await kit.api.ask('POST', `/tenants/${tenant}/declaration/apply`, {
      token,
      body: { ...document, digest },
    })
    assert.deepEqual([answer.status, answer.body.code], [409, 'CONFLICT'])
    assert.deepEqual(await kit.stateOf(tenant), before)
  })

  it('is applied once, by one of two who apply it at the same time', async () => {
    const { tenant, token } = await kit.newTenant()
    const document = { connectors: [CONNECTOR], machines: [{ machine: 'ci', role: 'auditor' }] }
    const { digest } = (await kit.plan(document, token, tenant)).body
    const both = [1, 2].map(() => kit.applyPlan({ ...document, digest }, token, tenant))
    const statuses = (await Promise.all(both)).map(({ status }) => status)
    assert.deepEqual(statuses.sort(), [200, 409])
    const { store } = kit.api.kit.relay.authority
    assert.equal((await store.listConnectors(tenant)).length, 1)
  })

  it('shows what changes from what to what, and leaves alone what is not named', async () => {
    const { tenant, token } = await kit.newTenant()
    await kit.apply({ connectors: [CONNECTOR], grants: [GRANT] }, token, tenant)
    const changed = {
      grants: [
        { ...GRANT, hours: 'mon-fri 08:00-18:00 UTC' },
        { ...GRANT, resource: 'hq/web' },
      ],
    }
    const { changes } = (await kit.plan(changed, token, tenant)).body as unknown as Planned
    const hours = 'mon,tue,wed,thu,fri 08:00-18:00 UTC'
    assert.deepEqual(changes, [
      {
        action: 'change',
        section: 'grants',
        name: 'app to hq/db in production',
        fields: [{ field: 'hours', to: hours }],
      },
      { action: 'create', section: 'grants', name: 'app to hq/web in production', fields: [] },
    ])
    assert.deepEqual(await kit.changes({}, token, tenant), [])
    assert.equal((await kit.changes({ connectors: [], grants: [] }, token, tenant)).length, 2)
  })

  it('is refused where it names what is not there', async () => {
    const { tenant, token } = await kit.newTenant()
    const wrong: [object, string][] = [
      [{ connectors: [CONNECTOR], grants: [GRANT, { ...GRANT, connector: 'web' }] }, 'grants.1.connector'],
      [{ connectors: [{ ...CONNECTOR, environment: 'nowhere' }] }, 'connectors.0.environment'],
      [{ roles: [{ person: 'nobody', role: 'auditor' }] }, 'roles.0.person'],
      [{ freezes: [{ kind: 'site', environment: 'production', name: 'hq' }] }, 'freezes.0.name'],
      [{ environments: [{ environment: 'production', isProduction: false }] }, 'environments.0.isProduction'],
      [{ connectors: [CONNECTOR, CONNECTOR] }, 'connectors.1'],
      [{ connectors: [CONNECTOR], grants: [{ ...GRANT, hours: 'always' }] }, 'grants.0.hours'],
      [{ publications: [{ ...place(), kind: 'tcp', address: '127.0.0.1:0' }] }, 'publications.0.address'],
      [{ publications: [{ ...place(), kind: 'host', address: '127.0.0.1' }] }, 'publications.0.address'],
      [{ providers: [{ provider: 'corp', settings: OIDC }] }, 'providers.0.secret'],
      [{ restrictions: [{ restriction: 'office', ranges: ['nowhere'] }] }, 'restrictions.0.ranges'],
    ]
    for (const [document, field] of wrong) {
      const answer = await kit.plan(document, token, tenant)
      assert.deepEqual([answer.status, answer.body.field], [400, field], JSON.stringify(document))
    }
  })

  it('has at most 2,000 changes', async () => {
    const { tenant, token } = await kit.newTenant()
    const connectors = Array.from({ length: DECLARE_LIMITS.changes + 1 }, (_, at) => ({
      ...CONNECTOR,
      connector: `c${at}`,
    }))
    const answer = await kit.plan({ connectors }, token, tenant)
    assert.deepEqual([answer.status, answer.body.code], [400, 'CONFIG'])
    const more = Array.from({ length: DECLARE_LIMITS.items + 1 }, () => CONNECTOR)
    await assert.rejects(kit.api.kit.command('declare.plan', { connectors: more, tenant }), {
      field: 'connectors',
    })
  })
})

/** What becomes of a connection; it is reset where a relay has no agent for it. */
function knock(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
    socket.once('connect', () => {
      socket.destroy()
      resolve('open')
    })
  })
}

function place() {
  return { environment: 'production', resource: 'hq/web' }
}

const OIDC = {
  ...{ kind: 'oidc', issuer: 'https://idp.example', clientId: 'sallyport' },
  rules: [{ claim: 'groups', value: 'ops', role: 'operator' }],
}

describe('a change that cannot be made', () => {
  it('undoes all others, and leaves no record of them', async () => {
    const [one, two] = [await kit.newTenant(), await kit.newTenant()]
    const host = { publications: [{ ...place(), kind: 'host', address: 'taken.example' }] }
    assert.equal((await kit.apply(host, one.token, one.tenant)).status, 200)
    const before = await kit.stateOf(two.tenant)
    const other = {
      ...host,
      connectors: [CONNECTOR],
      deliveries: [{ delivery: 'hook', kind: 'webhook', target: 'https://127.0.0.1/' }],
    }
    const answer = await kit.apply(other, two.token, two.tenant)
    assert.deepEqual([answer.status, answer.body.code], [409, 'CONFLICT'])
    assert.deepEqual(await kit.stateOf(two.tenant), before)
    assert.equal(kit.api.kit.relay.publications.byHost('taken.example')?.tenantId, one.tenant)
  })

  it('is a port that somebody else listens on: told before anything changes', async () => {
    const { tenant, token } = await kit.newTenant()
    const taken = net.createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address() as net.AddressInfo
    const document = {
      connectors: [CONNECTOR],
      publications: [{ ...place(), kind: 'tcp', address: `127.0.0.1:${port}` }],
    }
    const before = await kit.stateOf(tenant)
    assert.equal((await kit.apply(document, token, tenant)).body.code, 'LISTEN')
    assert.deepEqual(await kit.stateOf(tenant), before)
    await new Promise((resolve) => taken.close(resolve))
    const answer = await kit.apply(document, token, tenant)
    assert.deepEqual([answer.status, answer.body.warnings], [200, []])
    assert.notEqual(await knock(port), 'ECONNREFUSED')
    await kit.apply({ publications: [] }, token, tenant)
    assert.equal(await knock(port), 'ECONNREFUSED')
  })

  it('is to leave a tenant without an owner', async () => {
    const before = await kit.stateOf()
    assert.equal((await kit.apply({ roles: [{ person: 'bob', role: 'auditor' }] })).body.code, 'CONFLICT')
    assert.deepEqual(await kit.stateOf(), before)
  })
})

describe('what was applied', () => {
  it('has its own records, one trace, and one that says which plan it was', async () => {
    const { tenant, token } = await kit.newTenant()
    const { digest } = (await kit.apply({ connectors: [CONNECTOR], grants: [GRANT] }, token, tenant)).body
    await kit.api.kit.relay.trail.flush()
    const page = await kit.api.kit.relay.authority.store.readAudit(tenant, { order: 'oldest', limit: 100 })
    const [, ...records] = page.records
    assert.deepEqual(
      records.map(({ action }) => action),
      ['connector.add', 'grant.set', 'grant.add', 'declare.apply'],
    )
    assert.deepEqual([records.at(-1)?.object, records.at(-1)?.detail], [digest, 'create 2'])
    assert.equal(new Set(records.map(({ traceId }) => traceId)).size, 1)
    assert.ok(records.every(({ actor }) => actor.kind === 'person'))
  })

  it('shows what it made once: credentials, a client secret, a signing key', async () => {
    const { tenant, token } = await kit.newTenant()
    const document = {
      connectors: [CONNECTOR],
      machines: [{ machine: 'ci', role: 'auditor' }],
      deliveries: [{ delivery: 'hook', kind: 'webhook', target: 'https://127.0.0.1/' }],
    }
    const { issued } = (await kit.apply(document, token, tenant)).body as {
      issued: { kind: string; name: string; content: string }[]
    }
    assert.deepEqual(
      issued.map(({ kind, name }) => `${kind} ${name}`),
      ['connector app', 'delivery hook', 'machine ci'],
    )
    assert.equal(parseCredentials(issued[0]?.content ?? '').connector, 'app')
    assert.equal(Buffer.from(issued[1]?.content ?? '', 'base64').length, 32)
    const again = await kit.apply(document, token, tenant)
    assert.deepEqual([again.body.changes, again.body.issued], [[], []])
    const changed = await kit.apply({ machines: [{ machine: 'ci', role: 'operator' }] }, token, tenant)
    assert.equal((changed.body.changes as Planned['changes'])[0]?.action, 'replace')
    assert.notEqual((changed.body.issued as { content: string }[])[0]?.content, issued[2]?.content)
  })

  it('keeps the secret of a provider, and sees another one without showing either', async () => {
    const { tenant, token } = await kit.newTenant()
    const withSecret = (secret?: string) => ({
      providers: [{ provider: 'corp', settings: OIDC, ...(secret === undefined ? {} : { secret }) }],
    })
    assert.equal((await kit.apply(withSecret('first-secret'), token, tenant)).status, 200)
    const changesOf = async (secret?: string) => {
      const answer = await kit.plan(withSecret(secret), token, tenant)
      assert.doesNotMatch(answer.text, /-secret/)
      return (answer.body as unknown as Planned).changes.map(({ fields }) => fields)
    }
    assert.deepEqual(await changesOf('first-secret'), [])
    assert.deepEqual(await changesOf(), [])
    assert.deepEqual(await changesOf('other-secret'), [[{ field: 'secret', to: '(new)' }]])
    const auditor = kit.api.callers.withRole('auditor', tenant)
    assert.equal((await kit.plan(withSecret('first-secret'), auditor, tenant)).body.code, 'FORBIDDEN')
    await kit.apply(withSecret('other-secret'), token, tenant)
    const kept = await kit.api.kit.relay.authority.store.getSecret(tenant, 'sso/corp')
    assert.equal(kept?.reveal().toString(), 'other-secret')
    assert.doesNotMatch(
      (await kit.api.ask('GET', `/tenants/${tenant}/declaration`, { token })).text,
      /-secret/,
    )
    await kit.apply({ providers: [] }, token, tenant)
    assert.equal(await kit.api.kit.relay.authority.store.getSecret(tenant, 'sso/corp'), undefined)
  })

  it('gives a SAML provider a key, and replaces a provider that becomes one of another kind', async () => {
    const { tenant, token } = await kit.newTenant()
    const saml = {
      ...{ kind: 'saml', entityId: 'https://idp.example', signOnUrl: 'https://idp.example/sso' },
      certificates: [kit.api.kit.relay.authority.authority.certificate.toString()],
      rules: OIDC.rules,
    }
    await kit.apply({ providers: [{ provider: 'corp', settings: OIDC, secret: 'a secret' }] }, token, tenant)
    const document = { providers: [{ provider: 'corp', settings: saml }] }
    const { body } = await kit.apply(document, token, tenant)
    assert.equal((body.changes as Planned['changes'])[0]?.action, 'replace')
    const kept = await kit.api.kit.relay.authority.store.getSecret(tenant, 'sso/corp')
    assert.match(kept?.reveal().toString() ?? '', /PRIVATE KEY/)
    assert.deepEqual(await kit.changes(document, token, tenant), [])
  })

  it('leaves the roles alone that an identity provider has given', async () => {
    const { tenant, token } = await kit.newTenant()
    await kit.apply({ providers: [{ provider: 'corp', settings: OIDC, secret: 'a secret' }] }, token, tenant)
    const signIn = {
      provider: 'corp',
      subject: '1',
      login: 'eve',
      newPersonId: 'eve',
      mustBeInvited: false,
      detail: '',
    }
    const assignments = [{ tenantId: tenant, role: 'operator', viaApi: false } as const]
    await kit.api.kit.relay.authority.store.signInFederated(tenant, { ...signIn, assignments }, actAt())
    assert.deepEqual(await kit.changes({ roles: [] }, token, tenant), [])
  })

  it('needs no grant that is over, and takes none away that is as it was declared', async () => {
    const { tenant, token } = await kit.newTenant()
    const over = { connectors: [CONNECTOR], grants: [{ ...GRANT, expiresAt: '2001-01-01T00:00:00Z' }] }
    assert.equal((await kit.apply(over, token, tenant)).status, 200)
    const { store } = kit.api.kit.relay.authority
    const connector = await store.findConnectorByName(tenant, 'production', 'app')
    assert.deepEqual(await store.listGrants(tenant, connector?.id ?? ''), [])
    await store.putGrant(
      tenant,
      { connectorId: connector?.id ?? '', site: 'hq', resource: 'db', expiresAt: Date.UTC(2001, 0, 1) },
      actAt(),
    )
    assert.deepEqual(await kit.changes(over, token, tenant), [])
  })
})
