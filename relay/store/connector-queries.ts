import type { Selectable } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import { formatResourceName } from '../../shared/identity/names.ts'
import { change, type Database, nameConflict, requireEnvironment } from './change.ts'
import { type ConnectorRecord, type ConnectorStore, type Grant, LIST_MAX } from './store.ts'
import type { Tables } from './tables.ts'

/** The part of the store that reads of connectors. */
export function connectorQueries(
  db: Database,
): Pick<ConnectorStore, 'findConnector' | 'findConnectorByName' | 'listConnectors'> {
  return {
    findConnector: async (tenantId, id) => {
      const row = await db
        .selectFrom('connectors')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('id', '=', id)
        .executeTakeFirst()
      return row === undefined ? undefined : connectorRecord(row)
    },

    findConnectorByName: async (tenantId, environment, name) => {
      const row = await db
        .selectFrom('connectors')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('environment', '=', environment)
        .where('name', '=', name)
        .where('revoked_at', 'is', null)
        .executeTakeFirst()
      return row === undefined ? undefined : connectorRecord(row)
    },

    listConnectors: async (tenantId, environment) => {
      const rows = await db
        .selectFrom('connectors')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .$if(environment !== undefined, (query) => query.where('environment', '=', environment ?? ''))
        .orderBy('environment')
        .orderBy('name')
        .orderBy('created_at')
        .limit(LIST_MAX)
        .execute()
      return rows.map(connectorRecord)
    },
  }
}

/** The part of the store that changes connectors. */
export function connectorChanges(db: Database): Pick<ConnectorStore, 'addConnector' | 'revokeConnector'> {
  return {
    addConnector: (tenantId, connector, grants, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const { environment } = connector
        await requireEnvironment(tx, tenantId, environment)
        await tx
          .insertInto('connectors')
          .values({
            tenant_id: tenantId,
            id: connector.id,
            environment,
            name: connector.name,
            serial: connector.serial,
            fingerprint: connector.fingerprint,
            not_after: connector.notAfter,
            created_at: connector.createdAt,
            revoked_at: null,
          })
          .execute()
          .catch(nameConflict(`There is a connector ${connector.name}.`))
        await insertGrants(tx, tenantId, connector.id, grants)
        const detail = `${connector.name}, ${connector.fingerprint}`
        tell({ action: 'connector.add', object: connector.id, environment, outcome: 'OK', detail })
        tell({ action: 'grant.set', object: connector.id, environment, outcome: 'OK', detail: named(grants) })
      }),

    revokeConnector: (tenantId, id, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const revoked = await tx
          .updateTable('connectors')
          .set({ revoked_at: act.at })
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .returning(['environment', 'name'])
          .executeTakeFirst()
        if (revoked === undefined) return false
        const { environment, name } = revoked
        tell({ action: 'connector.revoke', object: id, environment, outcome: 'OK', detail: name })
        return true
      }),
  }
}

/** The part of the store that is about who may open what. */
export function grantQueries(db: Database): Pick<ConnectorStore, 'setGrants' | 'listGrants' | 'isGranted'> {
  return {
    setGrants: (tenantId, connectorId, grants, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const connector = await tx
          .selectFrom('connectors')
          .select('environment')
          .where('tenant_id', '=', tenantId)
          .where('id', '=', connectorId)
          .where('revoked_at', 'is', null)
          .executeTakeFirst()
        if (connector === undefined) throw new TunnelError('NOT_FOUND')
        await tx
          .deleteFrom('grants')
          .where('tenant_id', '=', tenantId)
          .where('connector_id', '=', connectorId)
          .execute()
        await insertGrants(tx, tenantId, connectorId, grants)
        const { environment } = connector
        tell({ action: 'grant.set', object: connectorId, environment, outcome: 'OK', detail: named(grants) })
      }),

    listGrants: async (tenantId, connectorId) => {
      const rows = await db
        .selectFrom('grants')
        .select(['site', 'resource'])
        .where('tenant_id', '=', tenantId)
        .where('connector_id', '=', connectorId)
        .orderBy('site')
        .orderBy('resource')
        .limit(LIST_MAX)
        .execute()
      return rows.map(({ site, resource }) => ({ site, resource }))
    },

    isGranted: async (tenantId, connectorId, site, resource) => {
      const row = await db
        .selectFrom('grants')
        .innerJoin('connectors', (join) =>
          join
            .onRef('connectors.tenant_id', '=', 'grants.tenant_id')
            .onRef('connectors.id', '=', 'grants.connector_id'),
        )
        .select('grants.resource')
        .where('grants.tenant_id', '=', tenantId)
        .where('grants.connector_id', '=', connectorId)
        .where('grants.site', '=', site)
        .where('grants.resource', '=', resource)
        .where('connectors.revoked_at', 'is', null)
        .executeTakeFirst()
      return row !== undefined
    },
  }
}

async function insertGrants(
  db: Database,
  tenantId: string,
  connectorId: string,
  grants: readonly Grant[],
): Promise<void> {
  // One by one: a statement with a value list would have as many forms as there are lengths.
  for (const { site, resource } of grants) {
    await db
      .insertInto('grants')
      .values({ tenant_id: tenantId, connector_id: connectorId, site, resource })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
}

function named(grants: readonly Grant[]): string {
  return `${grants.length}: ${grants.map(formatResourceName).join(' ')}`
}

function connectorRecord(row: Selectable<Tables['connectors']>): ConnectorRecord {
  return {
    id: row.id,
    environment: row.environment,
    name: row.name,
    serial: row.serial,
    fingerprint: row.fingerprint,
    notAfter: row.not_after,
    createdAt: row.created_at,
    revokedAt: row.revoked_at ?? undefined,
  }
}
