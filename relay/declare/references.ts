import { brokenRule } from '../../shared/broken-rule.ts'
import type { TunnelError } from '../../shared/errors.ts'
import { parseResourceName } from '../../shared/identity/names.ts'
import type { StoreTogether } from '../store/store.ts'
import { pathOf } from './canonical.ts'
import type { Change } from './diff.ts'
import type { Contents, Items, SectionName } from './document.ts'
import { keyOf } from './keys.ts'
import { connectorsOf } from './state.ts'

/** What there will be, as far as it may be named. */
interface World {
  readonly environments: ReadonlyMap<string, boolean>
  readonly connectors: ReadonlySet<string>
  readonly sites: ReadonlySet<string>
  /** Login names. */
  isPerson(login: string): Promise<boolean>
}

/** What is not there, as the member that names it; undefined where all is. */
type Missing = { readonly member: string; readonly rule: string } | undefined

type Check<Item> = (item: Item, world: World) => Missing | Promise<Missing>

const CHECKS: { readonly [Name in SectionName]?: Check<Items[Name]> } = {
  connectors: inEnvironment,
  grants: (item, world) => inEnvironment(item, world) ?? connectorIn(item, world, 'connector'),
  publications: inEnvironment,
  machines: inEnvironment,
  roles: async (item, world) => {
    if (!(await world.isPerson(item.person)))
      return { member: 'person', rule: 'somebody who is there: relay person add' }
    return inEnvironment(item, world)
  },
  freezes: (item, world) => frozenIn(item, world),
}

/**
 * Looks whether what new and changed items name will be there.
 * @param said everything that was declared, in the order in which it stands there
 * @throws {TunnelError} INPUT with the path of the member
 */
export async function checkReferences(
  store: StoreTogether,
  tenantId: string,
  said: Contents,
  wanted: Contents,
  changes: readonly Change[],
): Promise<void> {
  if (changes.length === 0) return
  const made = changes.filter(({ action }) => action !== 'remove')
  const world = await worldOf(store, tenantId, wanted)
  for (const change of made) {
    const missing = await missingIn(change, world)
    if (missing !== undefined) throw brokenAt(said, change.section, change.name, missing)
  }
  // Those that are there already would go with a connector that is not declared.
  for (const grant of wanted.grants ?? []) {
    const missing = connectorIn(grant, world, 'connector')
    if (missing !== undefined) throw brokenAt(said, 'grants', keyOf('grants', grant), missing)
  }
}

function brokenAt(
  said: Contents,
  section: SectionName,
  name: string,
  { member, rule }: NonNullable<Missing>,
): TunnelError {
  const at = (said[section] ?? []).findIndex((item) => keyOf(section, item as never) === name)
  return brokenRule(`${pathOf(section, at)}.${member}`, rule)
}

async function missingIn(change: Change, world: World): Promise<Missing> {
  if (change.section === 'environments') {
    const { from, to } = change
    return from !== undefined && to !== undefined
      ? { member: 'isProduction', rule: 'stays as it was when the environment was added' }
      : undefined
  }
  const check = CHECKS[change.section] as Check<object> | undefined
  return change.to === undefined ? undefined : check?.(change.to, world)
}

async function worldOf(store: StoreTogether, tenantId: string, wanted: Contents): Promise<World> {
  const environments =
    wanted.environments?.map(({ environment, isProduction }) => [environment, isProduction] as const) ??
    (await store.listEnvironments(tenantId)).map(({ name, isProduction }) => [name, isProduction] as const)
  const connectors =
    wanted.connectors ??
    (await connectorsOf(store, tenantId)).map(({ environment, name }) => ({ environment, connector: name }))
  const sites = await store.listSites(tenantId)
  return {
    environments: new Map(environments),
    connectors: new Set(connectors.map((one) => keyOf('connectors', one))),
    sites: new Set(sites.map(({ environment, name }) => `${environment} ${name}`)),
    isPerson: async (login) => (await store.findPerson(tenantId, login)) !== undefined,
  }
}

function inEnvironment(
  { environment }: { readonly environment?: string | undefined },
  world: World,
): Missing {
  if (environment === undefined || world.environments.has(environment)) return undefined
  return { member: 'environment', rule: `one that there is; there is no ${environment}` }
}

function connectorIn(
  { environment, connector }: Items['connectors'],
  { connectors }: World,
  member: string,
): Missing {
  if (connectors.has(keyOf('connectors', { environment, connector }))) return undefined
  return { member, rule: `one that there is; there is no ${connector} in ${environment}` }
}

/** A freeze of what is not there would stop nothing, and look as if it did. */
function frozenIn({ kind, environment = '', name = '' }: Items['freezes'], world: World): Missing {
  if (kind === 'tenant') return undefined
  if (kind === 'connector') return connectorIn({ environment, connector: name }, world, 'name')
  const site = kind === 'site' ? name : parseResourceName(name).site
  if (world.sites.has(`${environment} ${site}`)) return undefined
  return { member: 'name', rule: `a site that there is; there is no ${site} in ${environment}` }
}
