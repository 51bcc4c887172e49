import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { parseName } from '../../shared/identity/names.ts'
import { RELAY_CHAIN } from '../audit/record.ts'
import { makeRemovalProof, type RemovalProof } from '../authority/removal-proof.ts'
import type { Relay } from '../relay.ts'
import { ms, requireTenant, tenantField, tenantPlace, text } from './input.ts'
import { operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const tenantInput = v.strictObject({ tenant: text })

const ofRelay = () => undefined

export const addTenant = operation({
  name: 'tenant.add',
  summary: 'add a tenant with the environments development, test and production',
  http: { method: 'POST', path: '/tenants' },
  right: 'relay:write',
  input: tenantInput,
  output: v.object({ tenant: v.string() }),
  place: ofRelay,
  async run({ relay, act }, { tenant }) {
    await relay.authority.store.relay.addTenant(parseName(tenant, 'tenant'), act)
    return { tenant }
  },
})

export const listTenants = operation({
  name: 'tenant.list',
  summary: 'show the tenants and how much each has',
  http: { method: 'GET', path: '/tenants' },
  right: 'relay:read',
  input: v.strictObject(pageFields),
  output: pageOutput(
    v.object({
      name: v.string(),
      createdAt: ms,
      sites: v.number(),
      agents: v.number(),
      connectors: v.number(),
      publications: v.number(),
    }),
  ),
  place: ofRelay,
  async run({ relay, act }, page) {
    const { store } = relay.authority
    const { items, ...rest } = pageOf(await store.relay.listTenants(), ({ id }) => id, page)
    const rows = items.map(async ({ id, createdAt }) => ({
      name: id,
      createdAt,
      ...(await store.counts(id, act.at)),
    }))
    return { items: await Promise.all(rows), ...rest }
  },
})

export const closeTenant = operation({
  name: 'tenant.close',
  summary: 'end everything that runs for a tenant, so that it can be exported and removed',
  http: { method: 'POST', path: '/tenants/{tenant}/close' },
  right: 'relay:write',
  isDangerous: true,
  input: tenantInput,
  output: v.object({ sessions: v.number() }),
  place: ofRelay,
  async run({ relay }, { tenant }) {
    await requireTenant(relay, tenant)
    relay.authority.closed.add(tenant)
    await relay.publications.close(tenant)
    const sessions = relay.sessions.revokeTenant(tenant)
    await relay.trail.flush()
    return { sessions }
  },
})

export const openTenant = operation({
  name: 'tenant.open',
  summary: 'let a tenant that was closed work again',
  http: { method: 'POST', path: '/tenants/{tenant}/open' },
  right: 'relay:write',
  input: tenantInput,
  output: v.object({}),
  place: ofRelay,
  async run({ relay }, { tenant }) {
    if (relay.authority.closed.delete(tenant)) await relay.publications.open(tenant)
    return {}
  },
})

export const removeTenant = operation({
  name: 'tenant.remove',
  summary: 'remove a tenant that is closed, with everything of it, and sign a proof',
  http: { method: 'DELETE', path: '/tenants/{tenant}' },
  right: 'relay:write',
  isDangerous: true,
  input: tenantInput,
  output: v.object({ proof: v.custom<RemovalProof>((value) => typeof value === 'object') }),
  place: ofRelay,
  async run({ relay, act }, { tenant }) {
    const { store, closed, authority } = relay.authority
    await requireTenant(relay, tenant)
    if (!closed.has(tenant)) throw new TunnelError('CONFLICT', `${tenant} is not closed.`)
    await relay.trail.flush()
    const removal = await store.relay.removeTenant(tenant, act)
    closed.delete(tenant)
    if (removal === undefined) throw new TunnelError('NOT_FOUND', `There is no tenant ${tenant}.`)
    return { proof: makeRemovalProof(authority, tenant, removal, act.at) }
  },
})

export const addEnvironment = operation({
  name: 'environment.add',
  summary: 'add an environment to a tenant',
  http: { method: 'POST', path: '/tenants/{tenant}/environments' },
  right: 'tenant:write',
  input: v.strictObject({ ...tenantField, environment: text, isProduction: v.optional(v.boolean(), false) }),
  output: v.object({ tenant: v.string(), environment: v.string() }),
  place: tenantPlace,
  async run({ relay, act }, { tenant, environment, isProduction }) {
    const { store } = relay.authority
    await store.addEnvironment(tenant, parseName(environment, 'environment'), isProduction, act)
    return { tenant, environment }
  },
})

export const listEnvironments = operation({
  name: 'environment.list',
  summary: 'show the environments of a tenant',
  http: { method: 'GET', path: '/tenants/{tenant}/environments' },
  right: 'tenant:read',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: pageOutput(v.object({ name: v.string(), isProduction: v.boolean() })),
  place: tenantPlace,
  async run({ relay }, { tenant, ...page }) {
    await requireTenant(relay, tenant)
    return pageOf(await relay.authority.store.listEnvironments(tenant), ({ name }) => name, page)
  },
})

export const removeEnvironment = operation({
  name: 'environment.remove',
  summary: 'remove an environment with nothing in it',
  http: { method: 'DELETE', path: '/tenants/{tenant}/environments/{environment}' },
  right: 'tenant:write',
  input: v.strictObject({ ...tenantField, environment: text }),
  output: v.object({ tenant: v.string(), environment: v.string() }),
  place: tenantPlace,
  async run({ relay, act }, { tenant, environment }) {
    if (!(await relay.authority.store.removeEnvironment(tenant, environment, act))) {
      throw new TunnelError('NOT_FOUND', `There is no environment ${environment} of a tenant ${tenant}.`)
    }
    return { tenant, environment }
  },
})

export const rotateKeys = operation({
  name: 'key.rotate',
  summary: 'seal the secrets of the store under new keys',
  http: { method: 'POST', path: '/keys/rotate' },
  right: 'relay:write',
  isDangerous: true,
  input: v.strictObject({ tenant: v.optional(text), master: v.optional(v.boolean(), false) }),
  output: v.object({ tenants: v.number(), secrets: v.number() }),
  place: ofRelay,
  async run({ relay, act }, { tenant, master }) {
    const { store, master: masterKeys } = relay.authority
    // The key before is thrown away, and with it whatever was not wrapped anew.
    if (master && tenant !== undefined) {
      throw new TunnelError('USAGE', 'The master key is one for all tenants: it takes no tenant.')
    }
    const chains = await tenantsOf(relay, tenant)
    const tenants = chains.filter((id) => id !== RELAY_CHAIN).length
    if (!master) {
      let secrets = 0
      for (const id of chains) secrets += await store.rekey(id, act)
      return { tenants, secrets }
    }
    await masterKeys.rotate(async () => {
      for (const id of chains) await store.rewrapKeys(id)
    })
    const { actor, source, traceId } = act
    const deed = { action: 'key.rotate', object: 'master', outcome: 'OK' } as const
    relay.trail.audit({ ...deed, tenantId: RELAY_CHAIN, actor, source, traceId })
    return { tenants, secrets: 0 }
  },
})

/** All, and the relay itself, which may have a key, too; or the one that is named. */
async function tenantsOf(relay: Relay, tenant: string | undefined): Promise<readonly string[]> {
  if (tenant === undefined) {
    return [RELAY_CHAIN, ...(await relay.authority.store.relay.listTenants()).map(({ id }) => id)]
  }
  await requireTenant(relay, tenant)
  return [tenant]
}
