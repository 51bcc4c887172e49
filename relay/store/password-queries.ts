import { TunnelError } from '../../shared/errors.ts'
import { change, type Database, type Tell } from './change.ts'
import {
  endSessionsOf,
  findPerson,
  hasOwner,
  insertAssignment,
  insertPerson,
  requireTenantRow,
} from './people-queries.ts'
import type { LoginStore } from './people-store.ts'

/** The part of the store that is about passwords, and the links that set one. */
export function passwordQueries(db: Database) {
  return { ...passwordChanges(db), ...linkQueries(db) }
}

function passwordChanges(db: Database): Pick<LoginStore, 'unlockPerson' | 'setPassword' | 'rehashPassword'> {
  return {
    unlockPerson: (tenantId, id, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const unlocked = await tx
          .updateTable('people')
          .set({ failures: 0, locked_at: null })
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .executeTakeFirst()
        if (unlocked.numUpdatedRows === 0n) return false
        await tx
          .updateTable('login_addresses')
          .set({ failures: 0 })
          .where('tenant_id', '=', tenantId)
          .where('person_id', '=', id)
          .execute()
        tell({ action: 'person.unlock', object: id, outcome: 'OK' })
        return true
      }),

    setPassword: (tenantId, personId, hash, act) =>
      change(db, tenantId, act, (tx, tell) => replacePassword(tx, tell, { tenantId, personId, hash })),

    rehashPassword: async (tenantId, personId, before, after) => {
      await db
        .updateTable('people')
        .set({ password_hash: after })
        .where('tenant_id', '=', tenantId)
        .where('id', '=', personId)
        .where('password_hash', '=', before)
        .execute()
    },
  }
}

async function replacePassword(
  tx: Database,
  tell: Tell,
  { tenantId, personId, hash }: { tenantId: string; personId: string; hash: string },
): Promise<boolean> {
  const result = await tx
    .updateTable('people')
    .set({ password_hash: hash })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', personId)
    .executeTakeFirst()
  if (result.numUpdatedRows === 0n) return false
  await endSessionsOf(tx, tenantId, personId)
  await forgetLinks(tx, tenantId, personId)
  tell({ action: 'person.password', object: personId, outcome: 'OK' })
  return true
}

function forgetLinks(tx: Database, tenantId: string, personId: string | null) {
  return tx
    .deleteFrom('person_links')
    .where('tenant_id', '=', tenantId)
    .where('person_id', personId === null ? 'is' : '=', personId)
    .execute()
}

function linkQueries(
  db: Database,
): Pick<LoginStore, 'createLink' | 'findLink' | 'spendLink' | 'addFirstOwner'> {
  return {
    createLink: (tenantId, { hash, personId, expiresAt }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        await requireTenantRow(tx, tenantId)
        const person_id = personId ?? null
        if (personId !== undefined && (await findPerson(tx, tenantId, personId)) === undefined) {
          throw new TunnelError('NOT_FOUND')
        }
        await forgetLinks(tx, tenantId, person_id)
        await tx
          .insertInto('person_links')
          .values({ tenant_id: tenantId, hash, person_id, expires_at: expiresAt })
          .execute()
        tell({ action: 'person.link', object: personId ?? '', outcome: 'OK' })
      }),

    findLink: async (tenantId, hash, now) => {
      const row = await db
        .selectFrom('person_links')
        .select('person_id')
        .where('tenant_id', '=', tenantId)
        .where('hash', '=', hash)
        .where('expires_at', '>', now)
        .executeTakeFirst()
      return row && { personId: row.person_id ?? undefined }
    },

    spendLink: (tenantId, linkHash, passwordHash, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const spent = await spend(tx, 'password', { tenantId, hash: linkHash, now: act.at })
        const personId = spent?.person_id ?? undefined
        if (personId === undefined) return false
        return replacePassword(tx, tell, { tenantId, personId, hash: passwordHash })
      }),

    addFirstOwner: (tenantId, linkHash, { id, login, passwordHash }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        if (await hasOwner(tx, tenantId)) return false
        if ((await spend(tx, 'owner', { tenantId, hash: linkHash, now: act.at })) === undefined) return false
        await insertPerson(tx, tenantId, { id, login, createdAt: act.at, passwordHash })
        await insertAssignment(tx, tenantId, id, { tenantId, role: 'owner' })
        await forgetLinks(tx, tenantId, null)
        tell({ action: 'person.add', object: id, outcome: 'OK', detail: login })
        tell({ action: 'role.grant', object: id, outcome: 'OK', detail: 'owner, by the setup link' })
        return true
      }),
  }
}

/** Judged and spent in one statement. @returns undefined where it does not hold, or is a link for another purpose */
function spend(
  tx: Database,
  purpose: 'owner' | 'password',
  where: { readonly tenantId: string; readonly hash: Uint8Array; readonly now: number },
) {
  return tx
    .deleteFrom('person_links')
    .where('tenant_id', '=', where.tenantId)
    .where('hash', '=', where.hash)
    .where('expires_at', '>', where.now)
    .where('person_id', purpose === 'owner' ? 'is' : 'is not', null)
    .returning('person_id')
    .executeTakeFirst()
}
