import type { Kysely, Selectable } from 'kysely'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { LIST_MAX } from './agent-queries.ts'
import type { Tables } from './schema.ts'
import type { ConnectorRecord, Grant, Store } from './store.ts'

type Database = Kysely<Tables>

type ConnectorQueries = Pick<
  Store,
  'addConnector' | 'findConnector' | 'findConnectorByName' | 'listConnectors' | 'revokeConnector'
>

/** The part of the store that is about connectors. */
export function connectorQueries(db: Database): ConnectorQueries {
  return {
    addConnector: (tenantId, connector, grants) =>
      db.transaction().execute(async (tx) => {
        await tx
          .insertInto('connectors')
          .values({
            tenant_id: tenantId,
            id: connector.id,
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
      }),

    findConnector: async (tenantId, id) => {
      const row = await db
        .selectFrom('connectors')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('id', '=', id)
        .executeTakeFirst()
      return row === undefined ? undefined : connectorRecord(row)
    },

    findConnectorByName: async (tenantId, name) => {
      const row = await db
        .selectFrom('connectors')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('name', '=', name)
        .where('revoked_at', 'is', null)
        .executeTakeFirst()
      return row === undefined ? undefined : connectorRecord(row)
    },

    listConnectors: async (tenantId) => {
      const rows = await db
        .selectFrom('connectors')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .orderBy('name')
        .orderBy('created_at')
        .limit(LIST_MAX)
        .execute()
      return rows.map(connectorRecord)
    },

    revokeConnector: async (tenantId, id, revokedAt) => {
      const result = await db
        .updateTable('connectors')
        .set({ revoked_at: revokedAt })
        .where('tenant_id', '=', tenantId)
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .executeTakeFirst()
      return result.numUpdatedRows === 1n
    },
  }
}

/** The part of the store that is about who may open what. */
export function grantQueries(db: Database): Pick<Store, 'setGrants' | 'listGrants' | 'isGranted'> {
  return {
    setGrants: (tenantId, connectorId, grants) =>
      db.transaction().execute(async (tx) => {
        const connector = await tx
          .selectFrom('connectors')
          .select('id')
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

/** Gives a CONFLICT of the database a sentence that names what is taken. */
export function nameConflict(detail: string): (err: unknown) => never {
  return (err) => {
    throw isTunnelError(err) && err.code === 'CONFLICT'
      ? new TunnelError('CONFLICT', detail, { cause: err })
      : err
  }
}

function connectorRecord(row: Selectable<Tables['connectors']>): ConnectorRecord {
  return {
    id: row.id,
    name: row.name,
    serial: row.serial,
    fingerprint: row.fingerprint,
    notAfter: row.not_after,
    createdAt: row.created_at,
    revokedAt: row.revoked_at ?? undefined,
  }
}
