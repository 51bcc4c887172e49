import { join } from 'node:path'
import { Kysely } from 'kysely'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { type CertificateAuthority, loadAuthority } from '../authority/certificate-authority.ts'
import { sqliteDialect } from '../store/sqlite-dialect.ts'
import { openDatabaseToRead } from '../store/sqlite-file.ts'
import { Statements } from '../store/sqlite-statements.ts'
import type { Tables } from '../store/tables.ts'
import { relayWideQueries } from '../store/tenant-queries.ts'
import type { RelayWideStore } from '../store/tenants.ts'
import { auditQueries } from './queries.ts'
import { RELAY_CHAIN } from './record.ts'
import type { AuditStore } from './store.ts'

/** The audit chains in the data directory of a relay, whether it runs or not. Nothing is written. */
export interface AuditReader extends AsyncDisposable {
  readonly store: Omit<AuditStore, 'addAuditCheckpoint'>
  readonly certificate: CertificateAuthority['certificate']
  /** Every chain there is: that of the relay, then those of the tenants. */
  chains(): Promise<readonly string[]>
}

/** @throws {TunnelError} NOT_FOUND where no relay has its data there, STORE, PERMISSIONS */
export async function openAuditReader(directory: string): Promise<AuditReader> {
  const authority = await loadAuthority(join(directory, 'ca'))
  if (authority === undefined) {
    throw new TunnelError('NOT_FOUND', `${directory} is no data directory of a relay.`, {
      leg: 'local',
      next: 'name it: --data DIR',
    })
  }
  const db = new Kysely<Tables>({
    dialect: sqliteDialect({ reader: new Statements(await openDatabaseToRead(join(directory, 'relay.db'))) }),
  })
  const wide: Pick<RelayWideStore, 'listTenants'> = relayWideQueries(db)
  return {
    store: auditQueries(db),
    certificate: authority.certificate,
    chains: async () => [RELAY_CHAIN, ...(await wide.listTenants()).map(({ id }) => id)],
    [Symbol.asyncDispose]: async () => {
      // Kysely closes only what it used once.
      await wide.listTenants().catch((err: unknown) => {
        if (!isTunnelError(err)) throw err
      })
      await db.destroy()
    },
  }
}
