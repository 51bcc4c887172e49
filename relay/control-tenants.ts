import * as v from 'valibot'
import type { ControlHandler } from '../shared/control/serve.ts'
import { TunnelError } from '../shared/errors.ts'
import { parseName } from '../shared/identity/names.ts'
import { RELAY_CHAIN } from './audit/record.ts'
import { method, operatorAct, tenantParam, textParam } from './control-method.ts'
import type { Relay } from './relay.ts'

/** What the commands about tenants and environments ask of the relay: method to handler. */
export function tenantHandlers(relay: Relay): Readonly<Record<string, ControlHandler>> {
  const { store, effects } = relay.authority
  return {
    'tenant-add': method(v.strictObject({ name: textParam }), async ({ name }) => {
      await store.relay.addTenant(parseName(name, 'tenant'), operatorAct(effects))
      return { tenant: name }
    }),
    'tenant-list': method(v.strictObject({}), async () => ({
      tenants: await Promise.all(
        (await store.relay.listTenants()).map(async ({ id, createdAt }) => ({
          name: id,
          createdAt,
          ...(await store.counts(id, effects.date())),
        })),
      ),
    })),
    rekey: method(
      v.strictObject({ tenant: v.optional(textParam), master: v.boolean() }),
      async ({ tenant, master }) => (master ? rewrap(relay) : rekey(relay, tenant)),
    ),
    'environment-add': method(
      v.strictObject({ ...tenantParam, name: textParam, isProduction: v.boolean() }),
      async ({ tenant, name, isProduction }) => {
        await store.addEnvironment(tenant, parseName(name, 'environment'), isProduction, operatorAct(effects))
        return { tenant, environment: name }
      },
    ),
    'environment-list': method(v.strictObject(tenantParam), async ({ tenant }) => {
      await requireTenant(relay, tenant)
      return { tenant, environments: await store.listEnvironments(tenant) }
    }),
    'environment-remove': method(
      v.strictObject({ ...tenantParam, name: textParam }),
      async ({ tenant, name }) => {
        if (!(await store.removeEnvironment(tenant, name, operatorAct(effects)))) {
          throw new TunnelError('NOT_FOUND', `There is no environment ${name} of a tenant ${tenant}.`)
        }
        return { tenant, environment: name }
      },
    ),
  }
}

/** Every tenant that has keys, or the one named. */
async function rekey(relay: Relay, tenant: string | undefined): Promise<object> {
  const { store, effects } = relay.authority
  const tenants = await tenantsOf(relay, tenant)
  let secrets = 0
  for (const id of tenants) secrets += await store.rekey(id, operatorAct(effects))
  return { tenants: tenants.length, secrets }
}

async function rewrap(relay: Relay): Promise<object> {
  const { store, master, effects } = relay.authority
  const tenants = await tenantsOf(relay, undefined)
  await master.rotate(async () => {
    for (const id of tenants) await store.rewrapKeys(id)
  })
  const { actor, source, traceId } = operatorAct(effects)
  const deed = { action: 'key.rotate', object: 'master', outcome: 'OK' } as const
  relay.trail.audit({ ...deed, tenantId: RELAY_CHAIN, actor, source, traceId })
  return { tenants: tenants.length, secrets: 0 }
}

async function tenantsOf(relay: Relay, tenant: string | undefined): Promise<readonly string[]> {
  if (tenant === undefined) return (await relay.authority.store.relay.listTenants()).map(({ id }) => id)
  await requireTenant(relay, tenant)
  return [tenant]
}

/** @throws {TunnelError} NOT_FOUND: for the operator only, who may know which tenants there are */
export async function requireTenant({ authority }: Relay, tenant: string): Promise<void> {
  const all = await authority.store.relay.listTenants()
  if (all.every(({ id }) => id !== tenant)) {
    throw new TunnelError('NOT_FOUND', `There is no tenant ${tenant}.`, {
      next: 'sallyport relay tenant list',
    })
  }
}
