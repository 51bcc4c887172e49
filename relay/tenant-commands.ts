import { TunnelError } from '../shared/errors.ts'
import { askAll } from './ask-all.ts'
import { askRelay, type CommandContext } from './ask-relay.ts'
import {
  addEnvironment,
  addTenant,
  listEnvironments,
  listTenants,
  removeEnvironment,
  rotateKeys,
} from './operations/tenants.ts'

/** `sallyport relay tenant add`. */
export async function tenantAdd(options: CommandContext & { name: string }): Promise<void> {
  const { name, output } = options
  await askRelay(options, addTenant, { tenant: name })
  output.result({ tenant: name }, [
    `tenant ${name} with the environments development, test and production`,
    `next: sallyport relay join-token SITE --tenant ${name} --env production`,
  ])
}

/** `sallyport relay tenant list`. */
export async function tenantList(options: CommandContext): Promise<void> {
  const tenants = await askAll((page) => askRelay(options, listTenants, page))
  options.output.result(
    { tenants },
    tenants.map(
      ({ name, sites, agents, connectors, publications }) =>
        `${name}  sites ${sites}, agents ${agents}, connectors ${connectors}, publications ${publications}`,
    ),
  )
}

interface TenantContext extends CommandContext {
  readonly tenant: string
}

/** `sallyport relay env add`. */
export async function environmentAdd(
  options: TenantContext & { name: string; isProduction?: boolean },
): Promise<void> {
  const { tenant, name, isProduction = false, output } = options
  await askRelay(options, addEnvironment, { tenant, environment: name, isProduction })
  output.result({ tenant, environment: name, isProduction }, `environment ${name} of ${tenant}`)
}

/** `sallyport relay env list`. */
export async function environmentList(options: TenantContext): Promise<void> {
  const { tenant, output } = options
  const environments = await askAll((page) => askRelay(options, listEnvironments, { tenant, ...page }))
  output.result(
    { tenant, environments },
    environments.map(({ name, isProduction }) => `${name}${isProduction ? '  production' : ''}`),
  )
}

/** `sallyport relay env remove`. */
export async function environmentRemove(options: TenantContext & { name: string }): Promise<void> {
  const { tenant, name, output } = options
  await askRelay(options, removeEnvironment, { tenant, environment: name })
  output.result({ tenant, environment: name }, `environment ${name} of ${tenant} is gone`)
}

/** `sallyport relay rekey`. */
export async function rekey(options: CommandContext & { tenant?: string; master?: boolean }): Promise<void> {
  const { tenant, master = false, output } = options
  if (master && tenant !== undefined) {
    throw new TunnelError('USAGE', 'The master key is one for all tenants: say --master or --tenant.')
  }
  const params = tenant === undefined ? { master } : { master, tenant }
  const { tenants, secrets } = await askRelay(options, rotateKeys, params)
  output.result(
    { master, tenants, secrets },
    master
      ? `a new master key wraps the keys of ${tenants} tenants`
      : `${secrets} secrets of ${tenants} tenants are sealed under new keys`,
  )
}
