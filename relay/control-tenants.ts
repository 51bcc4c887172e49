import * as v from 'valibot'
import type { ControlHandler } from '../shared/control/serve.ts'
import { TunnelError } from '../shared/errors.ts'
import { parseName } from '../shared/identity/names.ts'
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

/** @throws {TunnelError} NOT_FOUND: for the operator only, who may know which tenants there are */
export async function requireTenant({ authority }: Relay, tenant: string): Promise<void> {
  const all = await authority.store.relay.listTenants()
  if (all.every(({ id }) => id !== tenant)) {
    throw new TunnelError('NOT_FOUND', `There is no tenant ${tenant}.`, {
      next: 'sallyport relay tenant list',
    })
  }
}
