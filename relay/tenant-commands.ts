import * as v from 'valibot'
import { TunnelError } from '../shared/errors.ts'
import { askRelay, type CommandContext } from './ask-relay.ts'

const anything = v.object({})
const tenantsAnswer = v.object({
  tenants: v.array(
    v.object({
      name: v.string(),
      createdAt: v.number(),
      sites: v.number(),
      agents: v.number(),
      connectors: v.number(),
      publications: v.number(),
    }),
  ),
})
const environmentsAnswer = v.object({
  environments: v.array(v.object({ name: v.string(), isProduction: v.boolean() })),
})

const rekeyAnswer = v.object({ tenants: v.number(), secrets: v.number() })

/** `sallyport relay tenant add`. */
export async function tenantAdd(options: CommandContext & { name: string }): Promise<void> {
  const { name, output } = options
  await askRelay(options, 'tenant-add', { name }, anything)
  output.result({ tenant: name }, [
    `tenant ${name} with the environments development, test and production`,
    `next: sallyport relay join-token SITE --tenant ${name} --env production`,
  ])
}

/** `sallyport relay tenant list`. */
export async function tenantList(options: CommandContext): Promise<void> {
  const answer = await askRelay(options, 'tenant-list', {}, tenantsAnswer)
  options.output.result(
    answer,
    answer.tenants.map(
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
  await askRelay(options, 'environment-add', { tenant, name, isProduction }, anything)
  output.result({ tenant, environment: name, isProduction }, `environment ${name} of ${tenant}`)
}

/** `sallyport relay env list`. */
export async function environmentList(options: TenantContext): Promise<void> {
  const { tenant, output } = options
  const { environments } = await askRelay(options, 'environment-list', { tenant }, environmentsAnswer)
  output.result(
    { tenant, environments },
    environments.map(({ name, isProduction }) => `${name}${isProduction ? '  production' : ''}`),
  )
}

/** `sallyport relay env remove`. */
export async function environmentRemove(options: TenantContext & { name: string }): Promise<void> {
  const { tenant, name, output } = options
  await askRelay(options, 'environment-remove', { tenant, name }, anything)
  output.result({ tenant, environment: name }, `environment ${name} of ${tenant} is gone`)
}

/** `sallyport relay rekey`. */
export async function rekey(options: CommandContext & { tenant?: string; master?: boolean }): Promise<void> {
  const { tenant, master = false, output } = options
  if (master && tenant !== undefined) {
    throw new TunnelError('USAGE', 'The master key is one for all tenants: say --master or --tenant.')
  }
  const params = tenant === undefined ? { master } : { master, tenant }
  const { tenants, secrets } = await askRelay(options, 'rekey', params, rekeyAnswer)
  output.result(
    { master, tenants, secrets },
    master
      ? `a new master key wraps the keys of ${tenants} tenants`
      : `${secrets} secrets of ${tenants} tenants are sealed under new keys`,
  )
}
