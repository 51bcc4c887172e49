import { Kysely } from 'kysely'
import { agentQueries, LIST_MAX, tokenQueries } from './agent-queries.ts'
import { connectorQueries, grantQueries, nameConflict } from './connector-queries.ts'
import type { Tables } from './schema.ts'
import { sqliteDialect } from './sqlite-dialect.ts'
import { openDatabase } from './sqlite-file.ts'
import type { Store } from './store.ts'

/**
 * Opens the store in one SQLite file, or makes it where there is no file. Statements run one after the other on the
 * caller's thread (a look-up takes some 50 microseconds, a change waits for the disk): keep it off the way of bytes.
 *
 * @param path a file in a private directory; SQLite puts `-wal` and `-shm` files beside it
 * @throws {TunnelError} STORE where the file exists but is empty, damaged or of a later version; PERMISSIONS where it
 * is open to others
 */
export async function openSqliteStore(path: string): Promise<Store> {
  const db = new Kysely<Tables>({ dialect: sqliteDialect(await openDatabase(path)) })
  return {
    ...tokenQueries(db),
    ...agentQueries(db),
    ...connectorQueries(db),
    ...grantQueries(db),
    ...publicationQueries(db),
    ...overviewQueries(db),
    [Symbol.asyncDispose]: async () => {
      // Kysely closes only what it used once.
      await db.selectFrom('sites').select('name').limit(1).execute()
      await db.destroy()
    },
  }
}

function publicationQueries(db: Kysely<Tables>): Pick<Store, 'publish' | 'unpublish' | 'listPublications'> {
  return {
    publish: async (tenantId, { kind, address, site, resource }) => {
      await db
        .insertInto('publications')
        .values({ tenant_id: tenantId, kind, address, site, resource })
        .execute()
        .catch(nameConflict(`${address} is published already.`))
    },

    unpublish: async (tenantId, kind, address) => {
      const result = await db
        .deleteFrom('publications')
        .where('tenant_id', '=', tenantId)
        .where('kind', '=', kind)
        .where('address', '=', address)
        .executeTakeFirst()
      return result.numDeletedRows === 1n
    },

    listPublications: async (tenantId) => {
      const rows = await db
        .selectFrom('publications')
        .select(['kind', 'address', 'site', 'resource'])
        .where('tenant_id', '=', tenantId)
        .orderBy('kind')
        .orderBy('address')
        .limit(LIST_MAX)
        .execute()
      return rows.map(({ kind, address, site, resource }) => ({ kind, address, site, resource }))
    },
  }
}

function overviewQueries(db: Kysely<Tables>): Pick<Store, 'listSites' | 'counts'> {
  return {
    listSites: async (tenantId) => {
      const rows = await db
        .selectFrom('sites')
        .select('name')
        .where('tenant_id', '=', tenantId)
        .orderBy('name')
        .limit(LIST_MAX)
        .execute()
      return rows.map((row) => row.name)
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
