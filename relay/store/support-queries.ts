import type { Selectable } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import type { AuditActorKind } from '../audit/record.ts'
import { change, type Database } from './change.ts'
import { LIST_MAX } from './store.ts'
import type { SupportRecord, SupportStore } from './support-store.ts'
import type { Tables } from './tables.ts'

/** How long what is over is shown, in ms. */
const KEPT_MS = 365 * 86_400_000

/** The part of the store that is about people who help for a while. */
export function supportQueries(db: Database): SupportStore {
  return { ...supportChanges(db), ...supportReads(db) }
}

function supportChanges(db: Database): Pick<SupportStore, 'addSupport' | 'revokeSupport'> {
  return {
    addSupport: (tenantId, support, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const { id, personId, role, environment, site, reason, beginsAt, endsAt } = support
        const person = await tx
          .selectFrom('people')
          .select('login')
          .where('tenant_id', '=', tenantId)
          .where('id', '=', personId)
          .executeTakeFirst()
        if (person === undefined) throw new TunnelError('NOT_FOUND', 'There is no such person.')
        await tx
          .deleteFrom('support_grants')
          .where('tenant_id', '=', tenantId)
          .where('ends_at', '<', act.at - KEPT_MS)
          .execute()
        await tx
          .insertInto('support_grants')
          .values({
            ...{ tenant_id: tenantId, id, person_id: personId, role, reason },
            ...{ environment: environment ?? null, site: site ?? null },
            ...{ begins_at: beginsAt, ends_at: endsAt, created_at: act.at },
            ...{ giver_kind: act.actor.kind, giver_id: act.actor.id },
          })
          .execute()
        const span = `${new Date(beginsAt).toISOString()} to ${new Date(endsAt).toISOString()}`
        const detail = `${person.login} as ${role}, ${span}: ${reason}`
        tell({ action: 'support.add', object: id, environment: environment ?? '', outcome: 'OK', detail })
      }),

    revokeSupport: (tenantId, id, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const revoked = await tx
          .updateTable('support_grants')
          .set({ revoked_at: act.at })
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .returning(['environment', 'person_id'])
          .executeTakeFirst()
        if (revoked === undefined) return false
        const { environment, person_id: detail } = revoked
        tell({ action: 'support.revoke', object: id, environment: environment ?? '', outcome: 'OK', detail })
        return true
      }),
  }
}

function supportReads(db: Database): Pick<SupportStore, 'listSupport' | 'activeSupport' | 'noteSupportUse'> {
  return {
    listSupport: async (tenantId) => {
      const rows = await db
        .selectFrom('support_grants')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .orderBy('created_at', 'desc')
        .orderBy('id')
        .limit(LIST_MAX)
        .execute()
      return rows.map(recordOf)
    },

    activeSupport: async (tenantId, personId, now) => {
      const rows = await db
        .selectFrom('support_grants')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('person_id', '=', personId)
        .where('begins_at', '<=', now)
        .where('ends_at', '>', now)
        .where('revoked_at', 'is', null)
        .execute()
      return rows.map((row) => {
        const { id, role, environment, site, usedAt } = recordOf(row)
        return { tenantId, id, role, environment, site, usedAt }
      })
    },

    noteSupportUse: async (tenantId, id, now) => {
      await db
        .updateTable('support_grants')
        .set({ used_at: now })
        .where('tenant_id', '=', tenantId)
        .where('id', '=', id)
        .execute()
    },
  }
}

function recordOf(row: Selectable<Tables['support_grants']>): SupportRecord {
  const { id, role, reason } = row
  return {
    ...{ id, role, reason },
    personId: row.person_id,
    environment: row.environment ?? undefined,
    site: row.site ?? undefined,
    beginsAt: row.begins_at,
    endsAt: row.ends_at,
    giver: { kind: row.giver_kind as AuditActorKind, id: row.giver_id },
    createdAt: row.created_at,
    usedAt: row.used_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
  }
}
