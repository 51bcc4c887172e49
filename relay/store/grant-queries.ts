import { CompiledQuery } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import { formatResourceName } from '../../shared/identity/names.ts'
import { formatHours, parseHours } from '../grants/hours.ts'
import type { GrantTerms } from '../grants/terms.ts'
import type { GrantStore } from './access-store.ts'
import { change, type Database } from './change.ts'
import { type Grant, LIST_MAX } from './store.ts'

/** The part of the store that is about who may open what, but for the requests. */
export function grantQueries(
  db: Database,
): Pick<GrantStore, 'setGrants' | 'putGrant' | 'removeGrant' | 'listGrants' | 'grantTerms'> {
  return {
    setGrants: (tenantId, connectorId, grants, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const environment = await environmentOf(tx, tenantId, connectorId)
        await deleteGrants(tx, tenantId, connectorId)
        await insertGrants(tx, tenantId, connectorId, grants)
        tell({ action: 'grant.set', object: connectorId, environment, outcome: 'OK', detail: named(grants) })
      }),

    putGrant: (tenantId, grant, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const { connectorId } = grant
        const environment = await environmentOf(tx, tenantId, connectorId)
        await deleteGrants(tx, tenantId, connectorId, grant)
        await insertGrants(tx, tenantId, connectorId, [grant])
        const detail = `${formatResourceName(grant)} ${termsText(grant)}`
        tell({ action: 'grant.add', object: connectorId, environment, outcome: 'OK', detail })
      }),

    removeGrant: (tenantId, connectorId, grant, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const environment = await environmentOf(tx, tenantId, connectorId)
        const removed = await deleteGrants(tx, tenantId, connectorId, grant)
        const { site, resource } = grant
        const withdrawn = await tx
          .updateTable('grant_requests')
          .set({ state: 'withdrawn' })
          .where('tenant_id', '=', tenantId)
          .where('connector_id', '=', connectorId)
          .where('site', '=', site)
          .where('resource', '=', resource)
          .where('state', '=', 'approved')
          .where('expires_at', '>', act.at)
          .executeTakeFirst()
        if (removed + withdrawn.numUpdatedRows === 0n) return false
        const detail = formatResourceName(grant)
        tell({ action: 'grant.remove', object: connectorId, environment, outcome: 'OK', detail })
        return true
      }),

    listGrants: async (tenantId, connectorId) => {
      const rows = await db
        .selectFrom('grants')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('connector_id', '=', connectorId)
        .orderBy('site')
        .orderBy('resource')
        .limit(LIST_MAX)
        .execute()
      return rows.map(({ site, resource, ...terms }) => ({ connectorId, site, resource, ...termsOf(terms) }))
    },

    grantTerms: async (tenantId, connectorId, site, resource) => {
      const values = [tenantId, connectorId, site, resource]
      const { rows } = await db.executeQuery<TermsRow>(
        CompiledQuery.raw(GRANT_TERMS, [...values, ...values, tenantId, connectorId]),
      )
      return rows.map(termsOf)
    },
  }
}

interface TermsRow {
  readonly expires_at: number | null
  readonly hours: string | null
}

/** Written out, because it is asked for every stream, and compiling it would cost more than running it. */
const GRANT_TERMS = `select t.expires_at, t.hours from (
  select expires_at, hours from grants
  where tenant_id = ? and connector_id = ? and site = ? and resource = ?
  union all
  select expires_at, null from grant_requests
  where tenant_id = ? and connector_id = ? and site = ? and resource = ? and state = 'approved'
) as t
where exists (select 1 from connectors where tenant_id = ? and id = ? and revoked_at is null)`

function termsOf({ expires_at, hours }: TermsRow): GrantTerms {
  return {
    ...(expires_at === null ? {} : { expiresAt: expires_at }),
    ...(hours === null ? {} : { hours: parseHours(hours) }),
  }
}

function termsText({ expiresAt, hours }: GrantTerms): string {
  const until = expiresAt === undefined ? 'for good' : `until ${new Date(expiresAt).toISOString()}`
  return hours === undefined ? until : `${until}, ${formatHours(hours)}`
}

/** @throws {TunnelError} NOT_FOUND where the connector is unknown or revoked */
export async function environmentOf(tx: Database, tenantId: string, connectorId: string): Promise<string> {
  const connector = await tx
    .selectFrom('connectors')
    .select('environment')
    .where('tenant_id', '=', tenantId)
    .where('id', '=', connectorId)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  if (connector === undefined) throw new TunnelError('NOT_FOUND')
  return connector.environment
}

/** All of a connector, or one. @returns how many */
async function deleteGrants(
  tx: Database,
  tenantId: string,
  connectorId: string,
  one?: Grant,
): Promise<bigint> {
  const result = await tx
    .deleteFrom('grants')
    .where('tenant_id', '=', tenantId)
    .where('connector_id', '=', connectorId)
    .$if(one !== undefined, (query) =>
      query.where('site', '=', one?.site ?? '').where('resource', '=', one?.resource ?? ''),
    )
    .executeTakeFirst()
  return result.numDeletedRows
}

/** Adds grants to a connector; one that it has stays as it is. Only within a transaction. */
export async function insertGrants(
  tx: Database,
  tenantId: string,
  connectorId: string,
  grants: readonly (Grant & GrantTerms)[],
): Promise<void> {
  // One by one: a statement with a value list would have as many forms as there are lengths.
  for (const { site, resource, expiresAt = null, hours } of grants) {
    await tx
      .insertInto('grants')
      .values({
        tenant_id: tenantId,
        connector_id: connectorId,
        site,
        resource,
        expires_at: expiresAt,
        hours: hours === undefined ? null : formatHours(hours),
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
}

/** How many they are and which, for a record. */
export function named(grants: readonly Grant[]): string {
  return `${grants.length}: ${grants.map(formatResourceName).join(' ')}`
}
