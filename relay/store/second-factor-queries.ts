import { change, type Database } from './change.ts'
import { LOCKOUT_AFTER, requireTenantRow } from './people-queries.ts'
import type { SecondFactorStore } from './people-store.ts'

/** The part of the store that is about the demand of a tenant for second factors. */
export function secondFactorQueries(db: Database): SecondFactorStore {
  return {
    secondFactorSince: (tenantId) => secondFactorSince(db, tenantId),

    demandSecondFactor: (tenantId, isDemanded, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        await requireTenantRow(tx, tenantId)
        const before = await secondFactorSince(tx, tenantId)
        if ((before !== undefined) === isDemanded) return false
        const second_factor_since = isDemanded ? act.at : null
        await tx
          .insertInto('login_policies')
          .values({ tenant_id: tenantId, lockout_after: LOCKOUT_AFTER, second_factor_since })
          .onConflict((conflict) => conflict.column('tenant_id').doUpdateSet({ second_factor_since }))
          .execute()
        tell({ action: 'factor.demand', object: isDemanded ? 'demanded' : 'free', outcome: 'OK' })
        return true
      }),
  }
}

async function secondFactorSince(db: Database, tenantId: string): Promise<number | undefined> {
  const row = await db
    .selectFrom('login_policies')
    .select('second_factor_since')
    .where('tenant_id', '=', tenantId)
    .executeTakeFirst()
  return row?.second_factor_since ?? undefined
}
