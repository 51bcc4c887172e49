import * as v from 'valibot'
import { streamRoute } from '../api/stream-route.ts'
import { exportTenant } from '../store/export-tenant.ts'
import { text } from './input.ts'

/** Everything of a tenant while it is read; a part is a few hundred rows. */
export const exportTenantRoute = streamRoute({
  name: 'tenant.export',
  summary: 'give everything of a tenant as JSON; secrets by name only',
  http: { method: 'GET', path: '/tenants/{tenant}/export' },
  right: 'relay:write',
  isDangerous: true,
  type: 'application/json',
  input: v.strictObject({ tenant: text }),
  place: () => undefined,
  async *run({ relay, act }, { tenant }) {
    const parts = exportTenant(relay.directory, tenant)
    // What is not there is refused by the first part.
    const first = await parts.next()
    const { actor, source, traceId } = act
    const deed = { action: 'tenant.export', object: tenant, outcome: 'OK' } as const
    relay.trail.audit({ ...deed, tenantId: tenant, actor, source, traceId })
    await relay.trail.flush()
    if (first.done !== true) yield first.value
    yield* parts
  },
})
