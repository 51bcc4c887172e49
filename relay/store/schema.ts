import type { DatabaseSync } from 'node:sqlite'
import { FIRST } from './migrations/0001-first.ts'
import { SERVER_NAMES } from './migrations/0002-server-names.ts'
import { ENVIRONMENTS } from './migrations/0003-environments.ts'
import { AUDIT } from './migrations/0004-audit.ts'
import { SECRETS } from './migrations/0005-secrets.ts'
import { ACCESS } from './migrations/0006-access.ts'
import { PEOPLE } from './migrations/0007-people.ts'
import { REPLIES } from './migrations/0008-replies.ts'
import { DELIVERIES } from './migrations/0009-deliveries.ts'
import { SSO } from './migrations/0010-sso.ts'
import { RESTRICTIONS } from './migrations/0011-restrictions.ts'
import { SUPPORT } from './migrations/0012-support.ts'
import { MACHINES } from './migrations/0013-machines.ts'
import { CONNECTOR_SECRETS } from './migrations/0014-connector-secrets.ts'
import { COPIES } from './migrations/0015-copies.ts'
import { RELAY_ROW } from './migrations/0016-relay-chain.ts'
import { SECOND_FACTOR } from './migrations/0017-second-factor.ts'
import { CONNECTOR_RENEWAL } from './migrations/0018-connector-renewal.ts'

/** Marks a file as ours in the header of SQLite (`PRAGMA application_id`). */
export const APPLICATION_ID = 0x53_4c_59_50

/**
 * One text for each version of the schema, oldest first; `PRAGMA user_version` counts those that were run. A text that
 * was released is never edited: a change is a new one at the end.
 *
 * Every table begins its key with the tenant, and tenant is NOT NULL: a query that forgets it finds nothing by accident.
 */
const MIGRATIONS: readonly string[] = [
  FIRST,
  SERVER_NAMES,
  ENVIRONMENTS,
  AUDIT,
  SECRETS,
  ACCESS,
  PEOPLE,
  REPLIES,
  DELIVERIES,
  SSO,
  RESTRICTIONS,
  SUPPORT,
  MACHINES,
  CONNECTOR_SECRETS,
  COPIES,
  RELAY_ROW,
  SECOND_FACTOR,
  CONNECTOR_RENEWAL,
]

/** The version that this program writes. */
export const SCHEMA_VERSION = MIGRATIONS.length

/** Brings the schema from `version` (0 to {@link SCHEMA_VERSION}) to the newest, in one transaction: all or nothing. */
export function migrate(db: DatabaseSync, version: number): void {
  if (version === SCHEMA_VERSION) return
  db.exec('BEGIN IMMEDIATE')
  try {
    for (const text of MIGRATIONS.slice(version)) db.exec(text)
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`)
  } catch (err) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw err
  }
}
