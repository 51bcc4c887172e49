import { TunnelError } from '../../shared/errors.ts'
import { formatResourceName } from '../../shared/identity/names.ts'
import type { Right } from '../access/rights.ts'
import { formatHours } from '../grants/hours.ts'
import type { Assignment } from '../operations/operation.ts'
import { providerOf } from '../sso/sso.ts'
import type { ConnectorRecord, StoreTogether } from '../store/store.ts'
import { LIST_MAX } from '../store/store.ts'
import { canonicalContents } from './canonical.ts'
import type { Contents, Items, SectionName } from './document.ts'

/** Which right shows a section: that of the list that shows the same. */
export const READ_RIGHTS: Readonly<Record<SectionName, Right>> = {
  settings: 'people:read',
  environments: 'tenant:read',
  restrictions: 'restrictions:read',
  connectors: 'connectors:read',
  grants: 'grants:read',
  publications: 'publications:read',
  deliveries: 'audit:read',
  providers: 'people:read',
  machines: 'people:read',
  roles: 'people:read',
  freezes: 'sites:read',
}

/** What RFC 3339 can say: a grant that ends later ends then, as far as anybody will see. */
const LATEST = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

type Read = (store: StoreTogether, tenantId: string) => Promise<readonly object[]>

const READ: { readonly [Name in SectionName]: Read & ((...of: Parameters<Read>) => Promise<Items[Name][]>) } =
  {
    settings: async (store, tenantId) => [
      {
        lockoutFailures: await store.lockoutAfter(tenantId),
        copies: await store.copyResponse(tenantId),
        secondFactor: (await store.secondFactorSince(tenantId)) !== undefined,
      },
    ],
    environments: async (store, tenantId) =>
      (await store.listEnvironments(tenantId)).map(({ name, isProduction }) => ({
        environment: name,
        isProduction,
      })),
    restrictions: async (store, tenantId) =>
      whole(await store.listRestrictions(tenantId)).map(({ name, ranges, ca, targets }) => ({
        restriction: name,
        ranges: [...ranges],
        ca,
        targets: targets.map(({ kind, environment, target }) => ({
          kind,
          environment: environment === '' ? undefined : environment,
          target: target === '' ? undefined : target,
        })),
      })),
    connectors: async (store, tenantId) =>
      (await connectorsOf(store, tenantId)).map(({ environment, name }) => ({
        environment,
        connector: name,
      })),
    grants: readGrants,
    publications: async (store, tenantId) =>
      whole(await store.listPublications(tenantId)).map(({ environment, kind, address, ...name }) => ({
        ...{ environment, kind, address, resource: formatResourceName(name) },
      })),
    deliveries: async (store, tenantId) =>
      (await store.listDeliveries(tenantId)).map(({ name, kind, target, ca }) => ({
        delivery: name,
        kind,
        target,
        ca,
      })),
    providers: async (store, tenantId) =>
      whole(await store.listProviders(tenantId, '', LIST_MAX)).map((record) => ({
        provider: record.name,
        settings: providerOf(tenantId, record).settings,
      })),
    machines: async (store, tenantId) =>
      whole(await store.listMachines(tenantId))
        .filter(({ revokedAt }) => revokedAt === undefined)
        .map(({ name, assignment }) => ({ machine: name, ...roleOf(assignment) })),
    roles: readRoles,
    freezes: async (store, tenantId) =>
      whole(await store.listFreezes(tenantId)).map(({ kind, environment, name, reason }) => ({
        ...{ kind, environment, name, reason },
      })),
  }

/**
 * What there is of some sections.
 * @throws {TunnelError} OVERLOADED where there is more than one answer of the store holds; STORE
 */
export async function readContents(
  store: StoreTogether,
  tenantId: string,
  names: readonly SectionName[],
): Promise<Contents> {
  const contents: { [Name in SectionName]?: readonly object[] } = {}
  for (const name of names) contents[name] = await READ[name](store, tenantId)
  return canonicalContents(contents as Contents)
}

/** Those that are not revoked. */
export async function connectorsOf(
  store: StoreTogether,
  tenantId: string,
): Promise<readonly ConnectorRecord[]> {
  const all = whole(await store.listConnectors(tenantId))
  return all.filter(({ revokedAt }) => revokedAt === undefined)
}

async function readGrants(store: StoreTogether, tenantId: string): Promise<Items['grants'][]> {
  const grants: Items['grants'][] = []
  for (const { id, environment, name } of await connectorsOf(store, tenantId)) {
    for (const { expiresAt, hours, ...resource } of await store.listGrants(tenantId, id)) {
      grants.push({
        ...{ environment, connector: name, resource: formatResourceName(resource) },
        expiresAt: expiresAt === undefined ? undefined : new Date(Math.min(expiresAt, LATEST)).toISOString(),
        hours: hours === undefined ? undefined : formatHours(hours),
      })
    }
  }
  return whole(grants)
}

/** Those that somebody here has given: what an identity provider gives follows that. */
async function readRoles(store: StoreTogether, tenantId: string): Promise<Items['roles'][]> {
  const federated = whole(await store.listFederatedRoles(tenantId))
  const foreign = new Set(
    federated.flatMap(({ personId, assignments }) => assignments.map((one) => sameRole(personId, one))),
  )
  const roles: Items['roles'][] = []
  for (const { id, login } of whole(await store.listPeople(tenantId, '', LIST_MAX))) {
    for (const assignment of await store.listAssignments(tenantId, id)) {
      if (!foreign.has(sameRole(id, assignment))) roles.push({ person: login, ...roleOf(assignment) })
    }
  }
  return roles
}

function sameRole(personId: string, { role, environment = '', site = '' }: Assignment): string {
  return JSON.stringify([personId, role, environment, site])
}

function roleOf({ role, environment, site, viaApi = false }: Assignment) {
  return { role, environment, site, viaApi }
}

/** A list that is cut would look as if the rest were not there. */
function whole<List extends readonly unknown[]>(list: List): List {
  if (list.length < LIST_MAX) return list
  throw new TunnelError('OVERLOADED', `There are ${LIST_MAX} or more of one kind: too many to be declared.`)
}
