import * as v from 'valibot'
import { formatResourceName } from '../../shared/identity/names.ts'
import { publicationRow } from './identities.ts'
import { ms, placeOf, requireTenant, viewFields } from './input.ts'
import { operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const input = v.strictObject({ ...viewFields, ...pageFields })

export const listSites = operation({
  name: 'site.list',
  summary: 'show the sites of a tenant',
  http: { method: 'GET', path: '/tenants/{tenant}/sites' },
  right: 'sites:read',
  input,
  output: pageOutput(v.object({ environment: v.string(), site: v.string() })),
  place: placeOf,
  async run({ relay }, { tenant, environment, ...page }) {
    await requireTenant(relay, tenant)
    const all = await relay.authority.store.listSites(tenant, environment)
    const rows = all.map(({ name, environment: of }) => ({ environment: of, site: name }))
    return pageOf(rows, ({ environment: of, site }) => `${of} ${site}`, page)
  },
})

export const listAgents = operation({
  name: 'agent.list',
  summary: 'show the agents of a tenant',
  http: { method: 'GET', path: '/tenants/{tenant}/agents' },
  right: 'sites:read',
  input,
  output: pageOutput(
    v.object({
      id: v.string(),
      environment: v.string(),
      site: v.string(),
      fingerprint: v.string(),
      createdAt: ms,
      notAfter: ms,
      revoked: v.boolean(),
    }),
  ),
  place: placeOf,
  async run({ relay }, { tenant, environment, ...page }) {
    await requireTenant(relay, tenant)
    const all = await relay.authority.store.listAgents(tenant, { environment })
    const rows = all.map(({ id, environment: of, site, fingerprint, createdAt, notAfter, revokedAt }) => ({
      ...{ id, environment: of, site, fingerprint, createdAt, notAfter },
      revoked: revokedAt !== undefined,
    }))
    return pageOf(rows, ({ environment: of, site, id }) => `${of} ${site} ${id}`, page)
  },
})

export const listConnectors = operation({
  name: 'connector.list',
  summary: 'show the connectors of a tenant, and what each may open',
  http: { method: 'GET', path: '/tenants/{tenant}/connectors' },
  right: 'connectors:read',
  input,
  output: pageOutput(
    v.object({
      name: v.string(),
      environment: v.string(),
      /** Of its certificate, and when that ends; without them it comes by tokens. */
      fingerprint: v.optional(v.string()),
      notAfter: v.optional(ms),
      revoked: v.boolean(),
      resources: v.array(v.string()),
    }),
  ),
  place: placeOf,
  async run({ relay }, { tenant, environment, ...page }) {
    const { store } = relay.authority
    await requireTenant(relay, tenant)
    const all = await store.listConnectors(tenant, environment)
    // A name may stand there more than once: whoever is revoked leaves it to others.
    const { items, ...rest } = pageOf(all, ({ environment: of, name, id }) => `${of} ${name} ${id}`, page)
    const rows = items.map(
      async ({ id, name, environment: of, fingerprint, notAfter, revokedAt, secretHash }) => ({
        ...{ name, environment: of },
        ...(secretHash === undefined ? { fingerprint, notAfter } : {}),
        revoked: revokedAt !== undefined,
        resources: (await store.listGrants(tenant, id)).map(formatResourceName),
      }),
    )
    return { items: await Promise.all(rows), ...rest }
  },
})

export const listPublications = operation({
  name: 'publication.list',
  summary: 'show what is offered at the relay itself',
  http: { method: 'GET', path: '/tenants/{tenant}/publications' },
  right: 'publications:read',
  input,
  output: pageOutput(publicationRow),
  place: placeOf,
  async run({ relay }, { tenant, environment, ...page }) {
    await requireTenant(relay, tenant)
    const all = await relay.publications.list(tenant, environment)
    const { items, ...rest } = pageOf(all, ({ kind, address }) => `${kind} ${address}`, page)
    return { items: [...items], ...rest }
  },
})
