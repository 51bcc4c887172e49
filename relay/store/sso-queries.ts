import type { Selectable } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import { change, type Database, nameConflict } from './change.ts'
import { endSessionsNamed, federatedQueries, removeFederation } from './federated-queries.ts'
import { requireTenantRow } from './people-queries.ts'
import type { ProviderRecord, SsoStore } from './sso-store.ts'
import type { Tables } from './tables.ts'

/** Providers that one tenant may have. */
const PROVIDERS_MAX = 50

type Providers = 'listProviders' | 'findProvider' | 'addProvider' | 'updateProvider' | 'removeProvider'

/** The part of the store that is about single sign-on. */
export function ssoQueries(db: Database): SsoStore {
  return { ...providerLookups(db), ...providerChanges(db), ...federatedQueries(db) }
}

function providerLookups(db: Database): Pick<SsoStore, 'listProviders' | 'findProvider'> {
  return {
    listProviders: async (tenantId, after, limit) => {
      const rows = await db
        .selectFrom('identity_providers')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('name', '>', after)
        .orderBy('name')
        .limit(limit)
        .execute()
      return rows.map(providerRecord)
    },

    findProvider: async (tenantId, name) => {
      const row = await db
        .selectFrom('identity_providers')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('name', '=', name)
        .executeTakeFirst()
      return row && providerRecord(row)
    },
  }
}

function providerChanges(db: Database): Pick<SsoStore, Exclude<Providers, 'listProviders' | 'findProvider'>> {
  return {
    addProvider: (tenantId, { name, kind, settings }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        await requireTenantRow(tx, tenantId)
        await requireRoom(tx, tenantId)
        await tx
          .insertInto('identity_providers')
          .values({ tenant_id: tenantId, name, kind, settings, revision: 1, created_at: act.at })
          .execute()
          .catch(nameConflict(`There is an identity provider ${name}.`))
        tell({ action: 'sso.add', object: name, outcome: 'OK', detail: kind })
      }),

    updateProvider: (tenantId, { name, kind, settings }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const updated = await tx
          .updateTable('identity_providers')
          .set((to) => ({ settings, revision: to('revision', '+', 1) }))
          .where('tenant_id', '=', tenantId)
          .where('name', '=', name)
          .where('kind', '=', kind)
          .returning('revision')
          .executeTakeFirst()
        if (updated === undefined) return false
        tell({ action: 'sso.update', object: name, outcome: 'OK', detail: `revision ${updated.revision}` })
        return true
      }),

    removeProvider: (tenantId, name, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const ended = await endSessionsNamed(tx, tenantId, name, {})
        await removeFederation(tx, tenantId, name)
        const result = await tx
          .deleteFrom('identity_providers')
          .where('tenant_id', '=', tenantId)
          .where('name', '=', name)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return false
        tell({ action: 'sso.remove', object: name, outcome: 'OK', detail: `${ended} sessions ended` })
        return true
      }),
  }
}

/** @throws {TunnelError} OVERLOADED */
async function requireRoom(tx: Database, tenantId: string): Promise<void> {
  const { count } = await tx
    .selectFrom('identity_providers')
    .select((to) => to.fn.countAll<number>().as('count'))
    .where('tenant_id', '=', tenantId)
    .executeTakeFirstOrThrow()
  if (count >= PROVIDERS_MAX) {
    throw new TunnelError('OVERLOADED', `A tenant has at most ${PROVIDERS_MAX} identity providers.`)
  }
}

function providerRecord(row: Selectable<Tables['identity_providers']>): ProviderRecord {
  const { name, kind, settings, revision, created_at } = row
  return { name, kind, settings, revision, createdAt: created_at }
}
