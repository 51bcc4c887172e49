import { type Selectable, sql } from 'kysely'
import { change, type Database } from './change.ts'
import { type LoginStore, PERSON_MAX, type SessionRecord } from './people-store.ts'
import type { Tables } from './tables.ts'

/** The part of the store that is about the sessions of people. */
export function sessionQueries(
  db: Database,
): Pick<
  LoginStore,
  'openSession' | 'findSession' | 'touchSession' | 'rotateSession' | 'endSession' | 'listSessions'
> {
  return { ...sessionUse(db), ...sessionChanges(db) }
}

function sessionChanges(db: Database): Pick<LoginStore, 'openSession' | 'rotateSession' | 'endSession'> {
  return {
    openSession: (tenantId, { hash, address, ...session }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const { id, personId, carrier, how, source, createdAt, authenticatedAt, hasSecondFactor, seenAt } =
          session
        await tx
          .insertInto('person_sessions')
          .values({
            ...{ tenant_id: tenantId, hash, id, person_id: personId, carrier, how, source },
            ...{ created_at: createdAt, authenticated_at: authenticatedAt, seen_at: seenAt },
            second_factor: hasSecondFactor ? 1 : 0,
          })
          .execute()
        await forgetOldest(tx, 'person_sessions', tenantId, personId)
        await rememberAddress(tx, tenantId, { personId, address, at: act.at })
        await tx
          .updateTable('people')
          .set({ failures: 0 })
          .where('tenant_id', '=', tenantId)
          .where('id', '=', personId)
          // Mostly there are none, and then no page is written.
          .where('failures', '>', 0)
          .execute()
        tell({ action: 'person.login', object: personId, outcome: 'OK', detail: how })
      }),

    rotateSession: (tenantId, id, { hash, hasSecondFactor }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const rotated = await tx
          .updateTable('person_sessions')
          .set({
            hash,
            authenticated_at: act.at,
            seen_at: act.at,
            ...(hasSecondFactor && { second_factor: 1 }),
          })
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .returning('person_id')
          .executeTakeFirst()
        if (rotated === undefined) return false
        tell({ action: 'person.confirm', object: rotated.person_id, outcome: 'OK' })
        return true
      }),

    endSession: (tenantId, id, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const ended = await tx
          .deleteFrom('person_sessions')
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .returning('person_id')
          .executeTakeFirst()
        if (ended === undefined) return false
        tell({ action: 'person.logout', object: ended.person_id, outcome: 'OK' })
        return true
      }),
  }
}

function sessionUse(db: Database): Pick<LoginStore, 'findSession' | 'touchSession' | 'listSessions'> {
  return {
    findSession: async (tenantId, hash) => {
      const row = await db
        .selectFrom('person_sessions')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('hash', '=', hash)
        .executeTakeFirst()
      return row && sessionRecord(row)
    },

    touchSession: async (tenantId, hash, at) => {
      await db
        .updateTable('person_sessions')
        .set({ seen_at: at })
        .where('tenant_id', '=', tenantId)
        .where('hash', '=', hash)
        .execute()
    },

    listSessions: async (tenantId, personId) => {
      const rows = await db
        .selectFrom('person_sessions')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('person_id', '=', personId)
        .orderBy('created_at', 'desc')
        .limit(PERSON_MAX.sessions)
        .execute()
      return rows.map(sessionRecord)
    },
  }
}

async function rememberAddress(
  tx: Database,
  tenantId: string,
  seen: { readonly personId: string; readonly address: string; readonly at: number },
): Promise<void> {
  const { personId, address, at } = seen
  await tx
    .insertInto('login_addresses')
    .values({ tenant_id: tenantId, person_id: personId, address, last_at: at, failures: 0 })
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'person_id', 'address']).doUpdateSet({ last_at: at, failures: 0 }),
    )
    .execute()
  await forgetOldest(tx, 'login_addresses', tenantId, personId)
}

/** Keeps a table of a person within its limit. */
async function forgetOldest(
  tx: Database,
  table: 'person_sessions' | 'login_addresses',
  tenantId: string,
  personId: string,
): Promise<void> {
  const [column, name, max] =
    table === 'person_sessions'
      ? ([sql.ref('created_at'), sql.ref('id'), PERSON_MAX.sessions] as const)
      : ([sql.ref('last_at'), sql.ref('address'), PERSON_MAX.addresses] as const)
  await sql`
    delete from ${sql.table(table)} where "tenant_id" = ${tenantId} and "person_id" = ${personId} and ${name} in (
      select ${name} from ${sql.table(table)} where "tenant_id" = ${tenantId} and "person_id" = ${personId}
      order by ${column} desc limit -1 offset ${max})
  `.execute(tx)
}

function sessionRecord(row: Selectable<Tables['person_sessions']>): SessionRecord {
  return {
    id: row.id,
    personId: row.person_id,
    carrier: row.carrier,
    how: row.how,
    source: row.source,
    createdAt: row.created_at,
    authenticatedAt: row.authenticated_at,
    hasSecondFactor: row.second_factor === 1,
    seenAt: row.seen_at,
  }
}
