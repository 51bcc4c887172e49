import { sql } from 'kysely'
import { type Deed, RELAY_CHAIN } from '../audit/record.ts'
import { change, type Database } from './change.ts'
import { lockoutAfter, personRecord } from './people-queries.ts'
import type { LoginStore } from './people-store.ts'
import { isTenant } from './tenant-queries.ts'

/** The part of the store that a login looks at, and where its failures are counted. */
export function loginQueries(db: Database): Pick<LoginStore, 'viewLogin' | 'noteLoginFailure'> {
  return {
    viewLogin: async (tenantId, login, address) => {
      const row = await db
        .selectFrom('people')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('login', '=', login)
        .executeTakeFirst()
      const personId = row?.id ?? ''
      const known = await db
        .selectFrom('login_addresses')
        .select('failures')
        .where('tenant_id', '=', tenantId)
        .where('person_id', '=', personId)
        .where('address', '=', address)
        .executeTakeFirst()
      const administrators = await administratorsOf(db, tenantId)
      return {
        person: row && personRecord(row),
        addressFailures: known?.failures,
        isAdministrator: administrators.some(({ id }) => id === personId),
        otherAdministrators: administrators.filter((one) => one.id !== personId && one.locked_at === null)
          .length,
        lockoutAfter: await lockoutAfter(db, tenantId),
      }
    },

    noteLoginFailure: (tenantId, { personId, address, detail }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        // The same statements whether there is such a person and tenant or not.
        const threshold = await lockoutAfter(tx, tenantId)
        const id = personId ?? ''
        const locked = await tx
          .updateTable('people')
          .set((to) => ({
            failures: to('failures', '+', 1),
            locked_at: sql<
              number | null
            >`case when locked_at is null and failures + 1 >= ${threshold} then ${act.at} else locked_at end`,
          }))
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .returning(['failures', 'locked_at'])
          .executeTakeFirst()
        await tx
          .updateTable('login_addresses')
          .set((to) => ({ failures: to('failures', '+', 1) }))
          .where('tenant_id', '=', tenantId)
          .where('person_id', '=', id)
          .where('address', '=', address)
          .execute()
        const chain = (await isTenant(tx, tenantId)) ? tenantId : RELAY_CHAIN
        const failed: Deed = { action: 'person.login', object: id, outcome: 'LOGIN', detail }
        tell(failed, chain)
        const isLocked = locked?.locked_at === act.at && locked.failures >= threshold
        if (isLocked) {
          const count = `${locked.failures} logins failed`
          tell({ action: 'person.lock', object: id, outcome: 'OK', detail: count })
        }
        return isLocked
      }),
  }
}

/** Owners and administrators of the whole tenant who could log in by a password. */
function administratorsOf(db: Database, tenantId: string) {
  return db
    .selectFrom('people')
    .select(['id', 'locked_at'])
    .where('tenant_id', '=', tenantId)
    .where('password_hash', 'is not', null)
    .where('id', 'in', (from) =>
      from
        .selectFrom('role_assignments')
        .select('person_id')
        .where('tenant_id', '=', tenantId)
        .where('role', 'in', ['owner', 'administrator'])
        .where('environment', '=', '')
        .where('site', '=', ''),
    )
    .execute()
}
