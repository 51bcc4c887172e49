import type { Selectable } from 'kysely'
import { type Database, readHead } from '../store/change.ts'
import type { Tables } from '../store/tables.ts'
import type { AuditActorKind, AuditRecord } from './record.ts'
import { AUDIT_PAGE_MAX, AUDIT_SCAN_MAX, type AuditFilter, type AuditStore } from './store.ts'

const CHECKPOINTS_MAX = 10_000

/** The part of the store that is about the audit chains. */
export function auditQueries(db: Database): AuditStore {
  return {
    readAudit: async (tenantId, { filter = {}, cursor, order, limit }) => {
      const isOldest = order === 'oldest'
      const head = (await readHead(db, tenantId)).seq
      const [from, to] = isOldest ? stretchAfter(cursor ?? 0) : stretchBefore(cursor ?? head + 1)
      const most = Math.min(Math.max(limit, 1), AUDIT_PAGE_MAX)
      const rows = await matching(db, tenantId, filter)
        .where('seq', '>=', from)
        .where('seq', '<=', to)
        .orderBy('seq', isOldest ? 'asc' : 'desc')
        .limit(most)
        .execute()
      const end = isOldest ? to : from
      const reached = rows.length === most ? (rows.at(-1)?.seq ?? end) : end
      const isLast = isOldest ? reached >= head : reached <= 1
      return { records: rows.map(auditRecord), next: isLast ? undefined : reached }
    },

    auditHead: (tenantId) => readHead(db, tenantId),

    listAuditCheckpoints: async (tenantId, after) => {
      const rows = await db
        .selectFrom('audit_checkpoints')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('seq', '>', after)
        .orderBy('seq')
        .limit(CHECKPOINTS_MAX)
        .execute()
      return rows.map(({ tenant_id, ...rest }) => ({ tenantId: tenant_id, ...rest }))
    },

    addAuditCheckpoint: async (tenantId, { seq, time, hash, signature }) => {
      await db
        .insertInto('audit_checkpoints')
        .values({ tenant_id: tenantId, seq, time, hash, signature })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    },
  }
}

/** The numbers that a page looks at, both included. */
function stretchAfter(cursor: number): readonly [number, number] {
  return [cursor + 1, cursor + AUDIT_SCAN_MAX]
}

function stretchBefore(cursor: number): readonly [number, number] {
  return [Math.max(cursor - AUDIT_SCAN_MAX, 1), cursor - 1]
}

function matching(db: Database, tenantId: string, filter: AuditFilter) {
  let query = db.selectFrom('audit_records').selectAll().where('tenant_id', '=', tenantId)
  if (filter.from !== undefined) query = query.where('time', '>=', filter.from)
  if (filter.until !== undefined) query = query.where('time', '<', filter.until)
  const texts = {
    environment: filter.environment,
    actor_kind: filter.actorKind,
    actor_id: filter.actorId,
    action: filter.action,
    object: filter.object,
    outcome: filter.outcome,
    trace_id: filter.traceId,
  }
  for (const [column, text] of Object.entries(texts) as [keyof typeof texts, string | undefined][]) {
    if (text !== undefined) query = query.where(column, '=', text)
  }
  return query
}

function auditRecord(row: Selectable<Tables['audit_records']>): AuditRecord {
  const { tenant_id, actor_kind, actor_id, trace_id, ...rest } = row
  return {
    ...rest,
    tenantId: tenant_id,
    actor: { kind: actor_kind as AuditActorKind, id: actor_id },
    traceId: trace_id,
  }
}
