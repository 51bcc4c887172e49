import { TunnelError } from '../../shared/errors.ts'
import { RELAY_CHAIN } from '../audit/record.ts'
import { appendRecords, change, type Database, nameConflict } from './change.ts'
import { type EnvironmentStore, LIST_MAX } from './store.ts'
import { removeTenant } from './tenant-removal.ts'
import { FIRST_ENVIRONMENTS, type RelayWideStore } from './tenants.ts'

/** The part of the store that concerns all tenants. */
export function relayWideQueries(db: Database): RelayWideStore {
  return {
    listTenants: async () => {
      const rows = await db.selectFrom('tenants').selectAll().orderBy('id').limit(LIST_MAX).execute()
      return rows
        .filter(({ id }) => id !== RELAY_CHAIN)
        .map(({ id, created_at }) => ({ id, createdAt: created_at }))
    },

    addTenant: (id, act) =>
      change(db, id, act, async (tx, tell) => {
        await tx
          .insertInto('tenants')
          .values({ id, created_at: act.at })
          .execute()
          .catch(nameConflict(`There is a tenant ${id}.`))
        for (const { name, isProduction } of FIRST_ENVIRONMENTS) {
          await insertEnvironment(tx, id, { name, isProduction, createdAt: act.at })
        }
        tell({ action: 'tenant.add', object: id, outcome: 'OK' })
        tell({ action: 'tenant.add', object: id, outcome: 'OK' }, RELAY_CHAIN)
      }),

    removeTenant: (id, act) => removeTenant(db, id, act),

    tenantOfJoinToken: async (tokenHash) => {
      const row = await db
        .selectFrom('join_tokens')
        .select('tenant_id')
        .where('hash', '=', tokenHash)
        .executeTakeFirst()
      return row?.tenant_id
    },

    hasTenantKeys: async () =>
      (await db.selectFrom('tenant_keys').select('version').limit(1).executeTakeFirst()) !== undefined,

    appendAudit: (events) =>
      db.transaction().execute(async (tx) => {
        const chains = new Set([RELAY_CHAIN])
        for (const id of new Set(events.map(({ event }) => event.tenantId))) {
          if (await isTenant(tx, id)) chains.add(id)
        }
        await appendRecords(
          tx,
          events.filter(({ event }) => chains.has(event.tenantId)),
        )
      }),
  }
}

/** Whether there is such a tenant. */
export async function isTenant(tx: Database, id: string): Promise<boolean> {
  return id !== RELAY_CHAIN && (await hasChain(tx, id))
}

/** Whether there is such a tenant, or it is the relay itself. */
export async function hasChain(tx: Database, id: string): Promise<boolean> {
  return (await tx.selectFrom('tenants').select('id').where('id', '=', id).executeTakeFirst()) !== undefined
}

async function insertEnvironment(
  tx: Database,
  tenantId: string,
  environment: { readonly name: string; readonly isProduction: boolean; readonly createdAt: number },
): Promise<void> {
  const { name, isProduction, createdAt } = environment
  await tx
    .insertInto('environments')
    .values({ tenant_id: tenantId, name, is_production: isProduction ? 1 : 0, created_at: createdAt })
    .execute()
    .catch(nameConflict(`There is an environment ${name}.`))
}

/** The part of the store that is about what a tenant consists of. */
export function environmentQueries(db: Database): EnvironmentStore {
  return { ...environmentChanges(db), ...overviewQueries(db) }
}

function environmentChanges(
  db: Database,
): Pick<EnvironmentStore, 'listEnvironments' | 'addEnvironment' | 'removeEnvironment'> {
  return {
    listEnvironments: async (tenantId) => {
      const rows = await db
        .selectFrom('environments')
        .select(['name', 'is_production'])
        .where('tenant_id', '=', tenantId)
        .orderBy('name')
        .limit(LIST_MAX)
        .execute()
      return rows.map(({ name, is_production }) => ({ name, isProduction: is_production === 1 }))
    },

    addEnvironment: (tenantId, name, isProduction, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        if (!(await isTenant(tx, tenantId))) {
          throw new TunnelError('NOT_FOUND', `There is no tenant ${tenantId}.`, {
            next: 'sallyport relay tenant list',
          })
        }
        await insertEnvironment(tx, tenantId, { name, isProduction, createdAt: act.at })
        tell({ action: 'environment.add', object: name, environment: name, outcome: 'OK' })
      }),

    removeEnvironment: (tenantId, name, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        for (const table of ['sites', 'connectors', 'publications'] as const) {
          const left = await tx
            .selectFrom(table)
            .select('environment')
            .where('tenant_id', '=', tenantId)
            .where('environment', '=', name)
            .limit(1)
            .executeTakeFirst()
          if (left !== undefined) {
            throw new TunnelError('CONFLICT', `There are ${table} in the environment ${name}.`)
          }
        }
        const result = await tx
          .deleteFrom('environments')
          .where('tenant_id', '=', tenantId)
          .where('name', '=', name)
          .executeTakeFirst()
        const isRemoved = result.numDeletedRows === 1n
        if (isRemoved) tell({ action: 'environment.remove', object: name, environment: name, outcome: 'OK' })
        return isRemoved
      }),
  }
}

function overviewQueries(db: Database): Pick<EnvironmentStore, 'listSites' | 'counts'> {
  return {
    listSites: async (tenantId, environment) => {
      const rows = await db
        .selectFrom('sites')
        .select(['environment', 'name'])
        .where('tenant_id', '=', tenantId)
        .$if(environment !== undefined, (query) => query.where('environment', '=', environment ?? ''))
        .orderBy('environment')
        .orderBy('name')
        .limit(LIST_MAX)
        .execute()
      return rows.map((row) => ({ ...row }))
    },

    counts: async (tenantId, now) => {
      const count = (table: 'sites' | 'agents' | 'connectors' | 'publications' | 'join_tokens') =>
        db
          .selectFrom(table)
          .select((column) => column.fn.countAll<number>().as('count'))
          .where('tenant_id', '=', tenantId)
      const [sites, agents, connectors, publications, tokens] = [
        await count('sites').executeTakeFirstOrThrow(),
        await count('agents').where('revoked_at', 'is', null).executeTakeFirstOrThrow(),
        await count('connectors').where('revoked_at', 'is', null).executeTakeFirstOrThrow(),
        await count('publications').executeTakeFirstOrThrow(),
        await count('join_tokens')
          .where('used_at', 'is', null)
          .where('expires_at', '>', now)
          .executeTakeFirstOrThrow(),
      ]
      return {
        sites: sites.count,
        agents: agents.count,
        connectors: connectors.count,
        publications: publications.count,
        openJoinTokens: tokens.count,
      }
    },
  }
}
