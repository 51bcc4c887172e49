import assert from 'node:assert/strict'
import net from 'node:net'
import { after, before, describe, it } from 'node:test'
import { DECLARE_LIMITS } from '../../../relay/declare/document.ts'
import { parseCredentials } from '../../../shared/identity/credentials.ts'
import { actAt } from '../../support/acts.ts'
import { type ApiAnswer, type ApiKit, startApiKit } from '../../support/api-kit.ts'

let api: ApiKit
let owner: string
let count = 0

before(async () => {
  api = await startApiKit()
  owner = api.callers.withRole('owner')
  for (const login of ['ann', 'bob']) await api.kit.command('person.add', { login })
  await api.kit.command('role.grant', { person: 'ann', role: 'owner' })
})

after(() => api[Symbol.asyncDispose]())

interface Planned {
  readonly digest: string
  readonly changes: readonly {
    readonly action: string
    readonly name: string
    readonly fields: readonly object[]
  }[]
}

/** A tenant of its own for a test, and who owns it. */
async function newTenant(): Promise<{ tenant: string; token: string }> {
  const tenant = `t${++count}`
  await api.kit.command('tenant.add', { tenant })
  return { tenant, token: api.callers.withRole('owner', tenant) }
}

function plan(document: object, token = owner, tenant = 'default'): Promise<ApiAnswer> {
  return api.ask('POST', `/tenants/${tenant}/declaration/plan`, { token, body: document })
}

async function digestOf(document: object, tenant = 'default'): Promise<string> {
  return ((await api.kit.command('declare.plan', { ...document, tenant })) as Planned).digest
}

async function apply(document: object, token = owner, tenant = 'default'): Promise<ApiAnswer> {
  const body = { ...document, digest: await digestOf(document, tenant) }
  return api.ask('POST', `/tenants/${tenant}/declaration/apply`, { token, body })
}

/** All that a refusal must not change. */
async function stateOf(tenant = 'default'): Promise<unknown> {
  const exported = await api.kit.command('declare.export', { tenant })
  const { records } = await api.kit.relay.authority.store.readAudit(tenant, { order: 'oldest', limit: 1_000 })
  return { exported, records: records.filter(({ action }) => action !== 'operation.refuse').length }
}

const CONNECTOR = { environment: 'production', connector: 'app' }
const GRANT = { ...CONNECTOR, resource: 'hq/db' }

describe('who may not make a change by hand', () => {
  it('changes nothing by applying it either, and is told what it takes', async () => {
    const document = { connectors: [CONNECTOR], settings: { lockoutFailures: 7 } }
    const before = await stateOf()
    const refused = await apply(document, api.callers.withRole('administrator'))
    assert.deepEqual([refused.status, refused.body.code], [403, 'FORBIDDEN'])
    assert.match(String(refused.body.detail), /change settings tenant: lockout\.set needs tenant:write/)
    assert.deepEqual(await stateOf(), before)
    assert.equal((await apply(document, api.callers.withRole('auditor'))).body.code, 'FORBIDDEN')
    assert.deepEqual(await stateOf(), before)
  })

  it('has left a record of what was refused', async () => {
    await apply({ settings: { lockoutFailures: 7 } }, api.callers.withRole('administrator'))
    await api.kit.relay.trail.flush()
    const page = await api.kit.relay.authority.store.readAudit('default', { order: 'newest', limit: 2 })
    const told = page.records.map(({ action, object, outcome }) => `${action} ${object} ${outcome}`)
    assert.deepEqual(told, [
      'operation.refuse declare.apply FORBIDDEN',
      'operation.refuse lockout.set FORBIDDEN',
    ])
  })

  it('plans no section that no list would show', async () => {
    const developer = api.callers.withRole('developer')
    assert.equal((await plan({ grants: [] }, developer)).status, 200)
    const refused = await plan({ grants: [], roles: [] }, developer)
    assert.equal(refused.body.code, 'FORBIDDEN')
    assert.match(String(refused.body.detail), /roles needs people:read/)
    const exported = await api.ask('GET', '/tenants/default/declaration', { token: developer })
    const shown = ['settings', 'environments', 'connectors', 'grants', 'publications', 'freezes']
    assert.deepEqual(Object.keys(exported.body.declaration as object), shown)
    assert.deepEqual(exported.body.left, ['restrictions', 'deliveries', 'providers', 'machines', 'roles'])
  })

  it('gives no role that is beyond its own, to people or to machines', async () => {
    const administrator = api.callers.withRole('administrator')
    const machine = { machines: [{ machine: 'ci', role: 'owner' }] }
    const roles = {
      roles: [
        { person: 'ann', role: 'owner' },
        { person: 'bob', role: 'owner' },
      ],
    }
    for (const document of [machine, roles]) {
      assert.equal((await apply(document, administrator)).body.code, 'FORBIDDEN')
    }
    const lesser = {
      roles: [
        { person: 'ann', role: 'owner' },
        { person: 'bob', role: 'auditor' },
      ],
    }
    assert.equal((await apply(lesser, administrator)).status, 200)
    // Who could reset the password of an owner could be one.
    assert.equal(
      (await apply({ roles: [{ person: 'bob', role: 'auditor' }] }, administrator)).body.code,
      'FORBIDDEN',
    )
  })

  it('is asked to log in again where the change by hand asks for it', async () => {
    const stale = api.callers.add('stale', [{ tenantId: 'default', role: 'owner' }], { authenticatedAt: 0 })
    const dangerous = { restrictions: [{ restriction: 'office', ranges: ['192.0.2.0/24'] }] }
    const refused = await apply(dangerous, stale)
    assert.deepEqual([refused.status, refused.body.code], [401, 'LOGIN_AGAIN'])
    assert.match(String(refused.body.detail), /restriction\.set/)
    assert.equal((await apply({ settings: { lockoutFailures: 9 } }, stale)).status, 200)
  })

  it('of another tenant learns nothing', async () => {
    const { tenant } = await newTenant()
    for (const body of [{}, { grants: [] }]) {
      assert.equal((await plan(body, owner, tenant)).body.code, 'NOT_FOUND')
    }
  })
})

describe('what was planned', () => {
  it('is not applied once somebody has changed a section of it', async () => {
    const { tenant, token } = await newTenant()
    const document = { connectors: [CONNECTOR], settings: { lockoutFailures: 5 } }
    const { digest } = (await plan(document, token, tenant)).body
    await api.kit.command('lockout.set', { tenant, failures: 6 })
    const before = await stateOf(tenant)
    const answer = await api.ask('POST', `/tenants/${tenant}/declaration/apply`, {
      token,
      body: { ...document, digest },
    })
    assert.deepEqual([answer.status, answer.body.code], [409, 'CONFLICT'])
    assert.deepEqual(await stateOf(tenant), before)
  })

  it('shows what changes from what to what, and leaves alone what is not named', async () => {
    const { tenant, token } = await newTenant()
    await apply({ connectors: [CONNECTOR], grants: [GRANT] }, token, tenant)
    const changed = {
      grants: [
        { ...GRANT, hours: 'mon-fri 08:00-18:00 UTC' },
        { ...GRANT, resource: 'hq/web' },
      ],
    }
    const { changes } = (await plan(changed, token, tenant)).body as unknown as Planned
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
    assert.deepEqual(((await plan({}, token, tenant)).body as unknown as Planned).changes, [])
    assert.equal(
      ((await plan({ connectors: [], grants: [] }, token, tenant)).body as unknown as Planned).changes.length,
      2,
    )
  })

  it('is refused where it names what is not there', async () => {
    const { tenant, token } = await newTenant()
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
      const answer = await plan(document, token, tenant)
      assert.deepEqual([answer.status, answer.body.field], [400, field], JSON.stringify(document))
    }
  })

  it('has at most 2,000 changes', async () => {
    const { tenant, token } = await newTenant()
    const connectors = Array.from({ length: DECLARE_LIMITS.changes + 1 }, (_, at) => ({
      ...CONNECTOR,
      connector: `c${at}`,
    }))
    const answer = await plan({ connectors }, token, tenant)
    assert.deepEqual([answer.status, answer.body.code], [400, 'CONFIG'])
    const more = Array.from({ length: DECLARE_LIMITS.items + 1 }, () => CONNECTOR)
    assert.equal((await plan({ connectors: more }, token, tenant)).body.field, 'connectors')
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
    const [one, two] = [await newTenant(), await newTenant()]
    const host = { publications: [{ ...place(), kind: 'host', address: 'taken.example' }] }
    assert.equal((await apply(host, one.token, one.tenant)).status, 200)
    const before = await stateOf(two.tenant)
    const other = {
      ...host,
      connectors: [CONNECTOR],
      deliveries: [{ delivery: 'hook', kind: 'webhook', target: 'https://127.0.0.1/' }],
    }
    const answer = await apply(other, two.token, two.tenant)
    assert.deepEqual([answer.status, answer.body.code], [409, 'CONFLICT'])
    assert.deepEqual(await stateOf(two.tenant), before)
    assert.equal(api.kit.relay.publications.byHost('taken.example')?.tenantId, one.tenant)
  })

  it('is a port that somebody else listens on: told before anything changes', async () => {
    const { tenant, token } = await newTenant()
    const taken = net.createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address() as net.AddressInfo
    const document = {
      connectors: [CONNECTOR],
      publications: [{ ...place(), kind: 'tcp', address: `127.0.0.1:${port}` }],
    }
    const before = await stateOf(tenant)
    assert.equal((await apply(document, token, tenant)).body.code, 'LISTEN')
    assert.deepEqual(await stateOf(tenant), before)
    await new Promise((resolve) => taken.close(resolve))
    const answer = await apply(document, token, tenant)
    assert.deepEqual([answer.status, answer.body.warnings], [200, []])
    assert.notEqual(await knock(port), 'ECONNREFUSED')
    await apply({ publications: [] }, token, tenant)
    assert.equal(await knock(port), 'ECONNREFUSED')
  })

  it('is to leave a tenant without an owner', async () => {
    const before = await stateOf()
    assert.equal((await apply({ roles: [{ person: 'bob', role: 'auditor' }] })).body.code, 'CONFLICT')
    assert.deepEqual(await stateOf(), before)
  })
})

describe('what was applied', () => {
  it('has its own records, one trace, and one that says which plan it was', async () => {
    const { tenant, token } = await newTenant()
    const { digest } = (await apply({ connectors: [CONNECTOR], grants: [GRANT] }, token, tenant)).body
    await api.kit.relay.trail.flush()
    const page = await api.kit.relay.authority.store.readAudit(tenant, { order: 'oldest', limit: 100 })
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
    const { tenant, token } = await newTenant()
    const document = {
      connectors: [CONNECTOR],
      machines: [{ machine: 'ci', role: 'auditor' }],
      deliveries: [{ delivery: 'hook', kind: 'webhook', target: 'https://127.0.0.1/' }],
    }
    const { issued } = (await apply(document, token, tenant)).body as {
      issued: { kind: string; name: string; content: string }[]
    }
    assert.deepEqual(
      issued.map(({ kind, name }) => `${kind} ${name}`),
      ['connector app', 'delivery hook', 'machine ci'],
    )
    assert.equal(parseCredentials(issued[0]?.content ?? '').connector, 'app')
    assert.equal(Buffer.from(issued[1]?.content ?? '', 'base64').length, 32)
    const again = await apply(document, token, tenant)
    assert.deepEqual([again.body.changes, again.body.issued], [[], []])
    const changed = await apply({ machines: [{ machine: 'ci', role: 'operator' }] }, token, tenant)
    assert.equal((changed.body.changes as Planned['changes'])[0]?.action, 'replace')
    assert.notEqual((changed.body.issued as { content: string }[])[0]?.content, issued[2]?.content)
  })

  it('keeps the secret of a provider, and sees another one without showing either', async () => {
    const { tenant, token } = await newTenant()
    const withSecret = (secret?: string) => ({
      providers: [{ provider: 'corp', settings: OIDC, ...(secret === undefined ? {} : { secret }) }],
    })
    assert.equal((await apply(withSecret('first-secret'), token, tenant)).status, 200)
    const changesOf = async (secret?: string) => {
      const answer = await plan(withSecret(secret), token, tenant)
      assert.doesNotMatch(answer.text, /-secret/)
      return (answer.body as unknown as Planned).changes.map(({ fields }) => fields)
    }
    assert.deepEqual(await changesOf('first-secret'), [])
    assert.deepEqual(await changesOf(), [])
    assert.deepEqual(await changesOf('other-secret'), [[{ field: 'secret', to: '(new)' }]])
    const auditor = api.callers.withRole('auditor', tenant)
    assert.equal((await plan(withSecret('first-secret'), auditor, tenant)).body.code, 'FORBIDDEN')
    await apply(withSecret('other-secret'), token, tenant)
    const kept = await api.kit.relay.authority.store.getSecret(tenant, 'sso/corp')
    assert.equal(kept?.reveal().toString(), 'other-secret')
    assert.doesNotMatch((await api.ask('GET', `/tenants/${tenant}/declaration`, { token })).text, /-secret/)
    await apply({ providers: [] }, token, tenant)
    assert.equal(await api.kit.relay.authority.store.getSecret(tenant, 'sso/corp'), undefined)
  })

  it('leaves the roles alone that an identity provider has given', async () => {
    const { tenant, token } = await newTenant()
    await apply({ providers: [{ provider: 'corp', settings: OIDC, secret: 'a secret' }] }, token, tenant)
    const signIn = {
      provider: 'corp',
      subject: '1',
      login: 'eve',
      newPersonId: 'eve',
      mustBeInvited: false,
      detail: '',
    }
    const assignments = [{ tenantId: tenant, role: 'operator', viaApi: false } as const]
    await api.kit.relay.authority.store.signInFederated(tenant, { ...signIn, assignments }, actAt())
    assert.deepEqual(((await plan({ roles: [] }, token, tenant)).body as unknown as Planned).changes, [])
  })

  it('needs no grant that is over, and takes none away that is as it was declared', async () => {
    const { tenant, token } = await newTenant()
    const over = { connectors: [CONNECTOR], grants: [{ ...GRANT, expiresAt: '2001-01-01T00:00:00Z' }] }
    assert.equal((await apply(over, token, tenant)).status, 200)
    const { store } = api.kit.relay.authority
    const connector = await store.findConnectorByName(tenant, 'production', 'app')
    assert.deepEqual(await store.listGrants(tenant, connector?.id ?? ''), [])
    await store.putGrant(
      tenant,
      { connectorId: connector?.id ?? '', site: 'hq', resource: 'db', expiresAt: Date.UTC(2001, 0, 1) },
      actAt(),
    )
    assert.deepEqual(((await plan(over, token, tenant)).body as unknown as Planned).changes, [])
  })
})
