import { formatResourceName } from '../../shared/identity/names.ts'
import type { AuditActorKind } from '../audit/record.ts'
import type { GrantRequest, GrantStore } from './access-store.ts'
import { change, type Database } from './change.ts'
import { environmentOf } from './grant-queries.ts'
import { LIST_MAX } from './store.ts'

/** The part of the store that is about access for a while. What was approved is a grant by itself: see `grantTerms`. */
export function grantRequestQueries(
  db: Database,
): Pick<GrantStore, 'addGrantRequest' | 'findGrantRequest' | 'listGrantRequests' | 'decideGrantRequest'> {
  return {
    addGrantRequest: (tenantId, request, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const { id, connectorId, site, resource, reason, durationMs, expiresAt } = request
        const environment = await environmentOf(tx, tenantId, connectorId)
        await tx
          .insertInto('grant_requests')
          .values({
            ...{ tenant_id: tenantId, id, connector_id: connectorId, site, resource, reason },
            ...{ duration_ms: durationMs, created_at: act.at, expires_at: expiresAt, state: 'open' },
            ...{ requester_kind: act.actor.kind, requester_id: act.actor.id },
          })
          .execute()
        const detail = `${connectorId} ${formatResourceName(request)} for ${durationMs} ms: ${reason}`
        tell({ action: 'grant.request', object: id, environment, outcome: 'OK', detail })
      }),

    findGrantRequest: async (tenantId, id) => {
      const row = await requests(db, tenantId).where('grant_requests.id', '=', id).executeTakeFirst()
      return row === undefined ? undefined : requestOf(row)
    },

    listGrantRequests: async (tenantId, environment) => {
      const rows = await requests(db, tenantId)
        .where('connectors.environment', '=', environment)
        .orderBy('grant_requests.created_at', 'desc')
        .orderBy('grant_requests.id')
        .limit(LIST_MAX)
        .execute()
      return rows.map(requestOf)
    },

    decideGrantRequest: (tenantId, id, isApproved, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const found = await requests(tx, tenantId).where('grant_requests.id', '=', id).executeTakeFirst()
        if (found === undefined || found.state !== 'open' || act.at >= found.expires_at) return false
        await environmentOf(tx, tenantId, found.connector_id)
        const { state, action, expires_at } = isApproved
          ? ({ state: 'approved', action: 'grant.approve', expires_at: act.at + found.duration_ms } as const)
          : ({ state: 'refused', action: 'grant.refuse', expires_at: found.expires_at } as const)
        const { kind, id: decider } = act.actor
        await tx
          .updateTable('grant_requests')
          .set({ state, expires_at, decider_kind: kind, decider_id: decider, decided_at: act.at })
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .execute()
        const { environment, connector_id } = found
        const detail = `${connector_id} ${formatResourceName(found)} until ${new Date(expires_at).toISOString()}`
        tell({ action, object: id, environment, outcome: 'OK', detail })
        return true
      }),
  }
}

function requests(db: Database, tenantId: string) {
  return db
    .selectFrom('grant_requests')
    .innerJoin('connectors', (join) =>
      join
        .onRef('connectors.tenant_id', '=', 'grant_requests.tenant_id')
        .onRef('connectors.id', '=', 'grant_requests.connector_id'),
    )
    .selectAll('grant_requests')
    .select(['connectors.environment', 'connectors.name as connector'])
    .where('grant_requests.tenant_id', '=', tenantId)
}

type RequestRow = Awaited<ReturnType<ReturnType<typeof requests>['executeTakeFirstOrThrow']>>

function requestOf(row: RequestRow): GrantRequest {
  const { id, environment, connector, site, resource, reason, state } = row
  return {
    ...{ id, environment, connector, site, resource, reason, state },
    connectorId: row.connector_id,
    durationMs: row.duration_ms,
    requester: { kind: row.requester_kind as AuditActorKind, id: row.requester_id },
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    decider:
      row.decider_kind === null
        ? undefined
        : { kind: row.decider_kind as AuditActorKind, id: row.decider_id ?? '' },
  }
}
