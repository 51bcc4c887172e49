import type { Selectable } from 'kysely'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { ROLES } from '../access/rights.ts'
import type { Assignment } from '../operations/operation.ts'
import { change, type Database } from './change.ts'
import { factorSecret, findPerson } from './people-queries.ts'
import { type FactorStore, type KeyRecord, PERSON_MAX } from './people-store.ts'
import { secondFactorQueries } from './second-factor-queries.ts'
import type { Tables } from './tables.ts'

/** The part of the store that is about second factors and keys of people. */
export function factorQueries(db: Database): FactorStore {
  return {
    ...{ ...factorChanges(db), ...factorUse(db), ...recoveryQueries(db), ...keyQueries(db) },
    ...secondFactorQueries(db),
  }
}

/** @throws {TunnelError} NOT_FOUND, OVERLOADED */
async function requireRoom(
  tx: Database,
  table: 'person_factors' | 'person_keys',
  { tenantId, personId, max }: { readonly tenantId: string; readonly personId: string; readonly max: number },
): Promise<void> {
  if ((await findPerson(tx, tenantId, personId)) === undefined) throw new TunnelError('NOT_FOUND')
  const { count } = await tx
    .selectFrom(table)
    .select((of) => of.fn.countAll<number>().as('count'))
    .where('tenant_id', '=', tenantId)
    .where('person_id', '=', personId)
    .executeTakeFirstOrThrow()
  if (count >= max) throw new TunnelError('OVERLOADED', `There are ${max} already.`)
}

function factorChanges(
  db: Database,
): Pick<FactorStore, 'listFactors' | 'addFactor' | 'confirmFactor' | 'removeFactor'> {
  return {
    listFactors: async (tenantId, personId) => {
      const rows = await db
        .selectFrom('person_factors')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('person_id', '=', personId)
        .orderBy('created_at')
        .limit(PERSON_MAX.factors)
        .execute()
      return rows.map(({ id, kind, name, created_at, is_confirmed, counter, credential }) => ({
        ...{ id, kind, name, counter, credential },
        createdAt: created_at,
        isConfirmed: is_confirmed === 1,
      }))
    },

    addFactor: (tenantId, personId, factor, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        await requireRoom(tx, 'person_factors', { tenantId, personId, max: PERSON_MAX.factors })
        const { id, kind, name, createdAt, isConfirmed, counter, credential } = factor
        const is_confirmed = isConfirmed ? 1 : 0
        await tx
          .insertInto('person_factors')
          .values({
            ...{ tenant_id: tenantId, person_id: personId, id, kind, name, created_at: createdAt },
            ...{ is_confirmed, counter, credential },
          })
          .execute()
        // One that waits to be confirmed protects nothing yet.
        if (isConfirmed) tell({ action: 'factor.add', object: personId, outcome: 'OK', detail: kind })
      }),

    confirmFactor: (tenantId, personId, id, counter, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const confirmed = await tx
          .updateTable('person_factors')
          .set({ is_confirmed: 1, counter })
          .where('tenant_id', '=', tenantId)
          .where('person_id', '=', personId)
          .where('id', '=', id)
          .where('is_confirmed', '=', 0)
          .returning('kind')
          .executeTakeFirst()
        if (confirmed === undefined) return false
        tell({ action: 'factor.add', object: personId, outcome: 'OK', detail: confirmed.kind })
        return true
      }),

    removeFactor: (tenantId, personId, id, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const removed = await tx
          .deleteFrom('person_factors')
          .where('tenant_id', '=', tenantId)
          .where('person_id', '=', personId)
          .where('id', '=', id)
          .returning('kind')
          .executeTakeFirst()
        if (removed === undefined) return false
        await tx
          .deleteFrom('secrets')
          .where('tenant_id', '=', tenantId)
          .where('name', '=', factorSecret(id))
          .execute()
        tell({ action: 'factor.remove', object: personId, outcome: 'OK', detail: removed.kind })
        return true
      }),
  }
}

function factorUse(db: Database): Pick<FactorStore, 'useFactor'> {
  return {
    useFactor: async (tenantId, personId, id, counter) => {
      // Condition and change in one statement: of two logins with the same code one finds no row.
      const result = await db
        .updateTable('person_factors')
        .set({ counter })
        .where('tenant_id', '=', tenantId)
        .where('person_id', '=', personId)
        .where('id', '=', id)
        .where('is_confirmed', '=', 1)
        .where('counter', '<', counter)
        .executeTakeFirst()
      return result.numUpdatedRows === 1n
    },
  }
}

function recoveryQueries(
  db: Database,
): Pick<FactorStore, 'setRecoveryCodes' | 'countRecoveryCodes' | 'spendRecoveryCode'> {
  return {
    setRecoveryCodes: (tenantId, personId, hashes, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        if ((await findPerson(tx, tenantId, personId)) === undefined) throw new TunnelError('NOT_FOUND')
        await tx
          .deleteFrom('recovery_codes')
          .where('tenant_id', '=', tenantId)
          .where('person_id', '=', personId)
          .execute()
        for (const hash of hashes) {
          await tx
            .insertInto('recovery_codes')
            .values({ tenant_id: tenantId, person_id: personId, hash })
            .execute()
        }
        const detail = `${hashes.length} recovery codes`
        tell({ action: 'factor.add', object: personId, outcome: 'OK', detail })
      }),

    countRecoveryCodes: async (tenantId, personId) => {
      const { count } = await db
        .selectFrom('recovery_codes')
        .select((of) => of.fn.countAll<number>().as('count'))
        .where('tenant_id', '=', tenantId)
        .where('person_id', '=', personId)
        .executeTakeFirstOrThrow()
      return count
    },

    spendRecoveryCode: (tenantId, personId, hash, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const result = await tx
          .deleteFrom('recovery_codes')
          .where('tenant_id', '=', tenantId)
          .where('person_id', '=', personId)
          .where('hash', '=', hash)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return false
        tell({ action: 'factor.remove', object: personId, outcome: 'OK', detail: 'a recovery code, used' })
        return true
      }),
  }
}

function keyQueries(db: Database): Pick<FactorStore, 'addKey' | 'findKey' | 'listKeys' | 'removeKey'> {
  return {
    addKey: (tenantId, { hash, ...key }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const { id, personId, name, assignments, createdAt, expiresAt } = key
        await requireRoom(tx, 'person_keys', { tenantId, personId, max: PERSON_MAX.keys })
        await tx
          .insertInto('person_keys')
          .values({
            ...{ tenant_id: tenantId, id, person_id: personId, name, hash },
            ...{ assignments: JSON.stringify(assignments), created_at: createdAt, expires_at: expiresAt },
          })
          .execute()
        tell({ action: 'key.add', object: id, outcome: 'OK', detail: name })
      }),

    findKey: async (tenantId, hash) => {
      const row = await db
        .selectFrom('person_keys')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('hash', '=', hash)
        .executeTakeFirst()
      return row && keyRecord(row)
    },

    listKeys: async (tenantId, personId) => {
      const rows = await db
        .selectFrom('person_keys')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('person_id', '=', personId)
        .orderBy('created_at')
        .limit(PERSON_MAX.keys)
        .execute()
      return rows.map(keyRecord)
    },

    removeKey: (tenantId, personId, id, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const removed = await tx
          .deleteFrom('person_keys')
          .where('tenant_id', '=', tenantId)
          .where('person_id', '=', personId)
          .where('id', '=', id)
          .returning('name')
          .executeTakeFirst()
        if (removed === undefined) return false
        tell({ action: 'key.remove', object: id, outcome: 'OK', detail: removed.name })
        return true
      }),
  }
}

const storedAssignments = v.array(
  v.object({
    role: v.picklist(ROLES),
    environment: v.optional(v.string()),
    site: v.optional(v.string()),
    viaApi: v.optional(v.boolean()),
  }),
)

function keyRecord(row: Selectable<Tables['person_keys']>): KeyRecord {
  const { id, name, tenant_id: tenantId } = row
  // What a later version wrote gives nothing here.
  const parsed = v.safeParse(storedAssignments, JSON.parse(row.assignments))
  const assignments: Assignment[] = (parsed.success ? parsed.output : []).map((one) => ({
    ...{ tenantId, role: one.role, environment: one.environment, site: one.site },
    viaApi: one.viaApi ?? false,
  }))
  return {
    ...{ id, name, assignments, personId: row.person_id },
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }
}
