import type { FreezeStore } from './access-store.ts'
import { change, type Database } from './change.ts'
import { requireTenantRow } from './people-queries.ts'
import { LIST_MAX } from './store.ts'

/** The part of the store that is about what is stopped for now. */
export function freezeQueries(db: Database): FreezeStore {
  return {
    addFreeze: (tenantId, { kind, environment, name, reason, createdAt }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        await requireTenantRow(tx, tenantId)
        await tx
          .insertInto('freezes')
          .values({ tenant_id: tenantId, kind, environment, name, reason, created_at: createdAt })
          .onConflict((conflict) =>
            conflict.columns(['tenant_id', 'kind', 'environment', 'name']).doUpdateSet({ reason }),
          )
          .execute()
        const detail = `${kind}: ${reason}`
        tell({ action: 'freeze.add', object: name, environment, outcome: 'OK', detail })
      }),

    removeFreeze: (tenantId, { kind, environment, name }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const result = await tx
          .deleteFrom('freezes')
          .where('tenant_id', '=', tenantId)
          .where('kind', '=', kind)
          .where('environment', '=', environment)
          .where('name', '=', name)
          .executeTakeFirst()
        const isRemoved = result.numDeletedRows === 1n
        if (isRemoved)
          tell({ action: 'freeze.remove', object: name, environment, outcome: 'OK', detail: kind })
        return isRemoved
      }),

    listFreezes: async (tenantId) => {
      const rows = await db
        .selectFrom('freezes')
        .select(['kind', 'environment', 'name', 'reason', 'created_at'])
        .where('tenant_id', '=', tenantId)
        .orderBy('kind')
        .orderBy('environment')
        .orderBy('name')
        .limit(LIST_MAX)
        .execute()
      return rows.map(({ created_at, ...freeze }) => ({ ...freeze, createdAt: created_at }))
    },

    copyResponse: async (tenantId) => {
      const row = await db
        .selectFrom('copy_policies')
        .select('response')
        .where('tenant_id', '=', tenantId)
        .executeTakeFirst()
      return row?.response ?? 'alarm'
    },

    setCopyResponse: (tenantId, response, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        await requireTenantRow(tx, tenantId)
        await tx
          .insertInto('copy_policies')
          .values({ tenant_id: tenantId, response })
          .onConflict((conflict) => conflict.column('tenant_id').doUpdateSet({ response }))
          .execute()
        tell({ action: 'copies.set', object: response, outcome: 'OK' })
      }),
  }
}
