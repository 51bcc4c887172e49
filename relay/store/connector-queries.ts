import type { Selectable } from 'kysely'
import { change, type Database, nameConflict, requireEnvironment } from './change.ts'
import { confirmCertificate } from './confirm-certificate.ts'
import { insertGrants, named } from './grant-queries.ts'
import { type ConnectorRecord, type ConnectorStore, LIST_MAX } from './store.ts'
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
export function connectorChanges(
  db: Database,
): Pick<
  ConnectorStore,
  'addConnector' | 'revokeConnector' | 'renewConnector' | 'confirmConnectorCertificate'
> {
  return {
    ...connectorRenewal(db),

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
            secret_hash: connector.secretHash ?? null,
          })
          .execute()
          .catch(nameConflict(`There is a connector ${connector.name}.`))
        await insertGrants(tx, tenantId, connector.id, grants)
        const proof = connector.secretHash === undefined ? connector.fingerprint : 'by tokens'
        const detail = `${connector.name}, ${proof}`
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

function connectorRenewal(
  db: Database,
): Pick<ConnectorStore, 'renewConnector' | 'confirmConnectorCertificate'> {
  return {
    confirmConnectorCertificate: (...of) => confirmCertificate(db, 'connectors', of),

    renewConnector: (tenantId, id, presentedSerial, next, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const row = await tx
          .updateTable('connectors')
          .set((column) => ({
            serial: next.serial,
            // What the connector proved to hold; see renewAgent.
            previous_serial: presentedSerial,
            generation: column('generation', '+', 1),
            fingerprint: next.fingerprint,
            not_after: next.notAfter,
          }))
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .where('secret_hash', 'is', null)
          .where((row) =>
            row.or([row('serial', '=', presentedSerial), row('previous_serial', '=', presentedSerial)]),
          )
          .returning(['generation', 'environment'])
          .executeTakeFirst()
        if (row === undefined) return undefined
        const { generation, environment } = row
        const detail = `generation ${generation}, ${next.fingerprint}`
        tell({ action: 'connector.renew', object: id, environment, outcome: 'OK', detail })
        return generation
      }),
  }
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
    secretHash: row.secret_hash ?? undefined,
    previousSerial: row.previous_serial ?? undefined,
    generation: row.generation,
  }
}
