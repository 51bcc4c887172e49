import { Kysely } from 'kysely'
import type { Effects } from '../../shared/effects.ts'
import { auditQueries } from '../audit/queries.ts'
import { agentChanges, agentQueries, tokenQueries } from './agent-queries.ts'
import type { Database } from './change.ts'
import { connectorChanges, connectorQueries } from './connector-queries.ts'
import { deliveryQueries } from './delivery-queries.ts'
import { factorQueries } from './factor-queries.ts'
import { freezeQueries } from './freeze-queries.ts'
import { grantQueries } from './grant-queries.ts'
import { grantRequestQueries } from './grant-request-queries.ts'
import { loginQueries } from './login-queries.ts'
import { machineQueries } from './machine-queries.ts'
import { passwordQueries } from './password-queries.ts'
import { personQueries } from './people-queries.ts'
import { sessionQueries } from './person-session-queries.ts'
import { publicationQueries } from './publication-queries.ts'
import { replyQueries } from './reply-queries.ts'
import { restrictionQueries } from './restriction-queries.ts'
import { keyOfTenant, secretQueries } from './secret-queries.ts'
import { type SqliteConnections, sqliteDialect } from './sqlite-dialect.ts'
import { openDatabase } from './sqlite-file.ts'
import { Statements } from './sqlite-statements.ts'
import { SqliteThread } from './sqlite-thread.ts'
import { ssoQueries } from './sso-queries.ts'
import type { Store, StoreTogether } from './store.ts'
import { supportQueries } from './support-queries.ts'
import type { Tables } from './tables.ts'
import { environmentQueries, relayWideQueries } from './tenant-queries.ts'
import type { KeyWrapper } from './vault/master-key.ts'
import { type TenantVault, Vault } from './vault/vault.ts'

export interface StoreOptions {
  readonly effects: Pick<Effects, 'randomBytes' | 'date'>
  /** What wraps the keys of the tenants, the one in use first. */
  readonly wrappers: () => readonly KeyWrapper[]
  /** Hears of each statement before it runs, with its values: for tests that look at all of them. */
  readonly onStatement?: SqliteConnections['onStatement']
}

/**
 * Opens the store in one SQLite file, or makes it where there is no file. A look-up runs on the caller's thread (some 50
 * microseconds); what changes something waits for the disk, and does so in a thread of its own.
 *
 * @param path a file in a private directory; SQLite puts `-wal` and `-shm` files beside it
 * @throws {TunnelError} STORE where the file exists but is empty, damaged or of a later version; PERMISSIONS where it
 * is open to others
 */
export async function openSqliteStore(path: string, options: StoreOptions): Promise<Store> {
  const { effects, wrappers, onStatement } = options
  const db = new Kysely<Tables>({ dialect: sqliteDialect({ ...(await openConnections(path)), onStatement }) })
  const vault = new Vault({ db, effects, wrappers })
  return {
    relay: relayWideQueries(db),
    ...tenantQueries(db, vault),
    together: async (tenantId, hasSecrets, work) => {
      // Before the transaction: a key service may take its time.
      if (hasSecrets) await keyOfTenant(db, vault, tenantId)
      const opened = await vault.opened(tenantId)
      return db.transaction().execute((tx) => work(tenantQueries(tx, opened)))
    },
    [Symbol.asyncDispose]: async () => {
      // Kysely closes only what it used once.
      await db.selectFrom('tenants').select('id').limit(1).execute()
      await db.destroy()
    },
  }
}

async function openConnections(path: string) {
  const file = await openDatabase(path)
  try {
    // What changes the file goes to the thread that may wait for the disk, or nowhere.
    file.exec('PRAGMA query_only = ON')
    return { reader: new Statements(file), writer: await SqliteThread.open(path) }
  } catch (err) {
    file.close()
    throw err
  }
}

function tenantQueries(db: Database, vault: TenantVault): StoreTogether {
  return {
    ...environmentQueries(db),
    ...tokenQueries(db),
    ...agentQueries(db),
    ...agentChanges(db),
    ...connectorQueries(db),
    ...connectorChanges(db),
    ...grantQueries(db),
    ...grantRequestQueries(db),
    ...freezeQueries(db),
    ...restrictionQueries(db),
    ...supportQueries(db),
    ...machineQueries(db),
    ...publicationQueries(db),
    ...auditQueries(db),
    ...deliveryQueries(db),
    ...personQueries(db),
    ...loginQueries(db),
    ...sessionQueries(db),
    ...passwordQueries(db),
    ...factorQueries(db),
    ...ssoQueries(db),
    ...secretQueries(db, vault),
    ...replyQueries(db, vault),
  }
}
