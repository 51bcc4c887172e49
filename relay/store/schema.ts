import type { DatabaseSync } from 'node:sqlite'
import type { Generated } from 'kysely'

/** Marks a file as ours in the header of SQLite (`PRAGMA application_id`). */
export const APPLICATION_ID = 0x53_4c_59_50

/**
 * One text for each version of the schema, oldest first; `PRAGMA user_version` counts those that were run. A text that
 * was released is never edited: a change is a new one at the end.
 *
 * Every table begins its key with the tenant, and tenant is NOT NULL: a query that forgets it finds nothing by accident.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY
  ) STRICT, WITHOUT ROWID;
  INSERT INTO tenants (id) VALUES ('default');

  CREATE TABLE sites (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE join_tokens (
    tenant_id TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    site TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    agent_id TEXT,
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, site) REFERENCES sites (tenant_id, name)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE agents (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    site TEXT NOT NULL,
    serial TEXT NOT NULL,
    previous_serial TEXT,
    generation INTEGER NOT NULL DEFAULT 1 CHECK (generation > 0),
    fingerprint TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    version TEXT NOT NULL,
    instance TEXT NOT NULL,
    source_address TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, site) REFERENCES sites (tenant_id, name)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX agents_by_site ON agents (tenant_id, site, created_at);

  CREATE TABLE connectors (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    serial TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (tenant_id, id)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX connectors_by_name ON connectors (tenant_id, name) WHERE revoked_at IS NULL;

  CREATE TABLE grants (
    tenant_id TEXT NOT NULL,
    connector_id TEXT NOT NULL,
    site TEXT NOT NULL,
    resource TEXT NOT NULL,
    PRIMARY KEY (tenant_id, connector_id, site, resource),
    FOREIGN KEY (tenant_id, connector_id) REFERENCES connectors (tenant_id, id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE publications (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    kind TEXT NOT NULL CHECK (kind IN ('tcp', 'host')),
    address TEXT NOT NULL,
    site TEXT NOT NULL,
    resource TEXT NOT NULL,
    PRIMARY KEY (tenant_id, kind, address),
    UNIQUE (kind, address)
  ) STRICT, WITHOUT ROWID;
  `,
  // Names that TLS asks for. A check cannot be changed in place; and a name leads to one place only, whatever its kind.
  `
  CREATE TABLE publications_2 (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    kind TEXT NOT NULL CHECK (kind IN ('tcp', 'host', 'sni')),
    address TEXT NOT NULL,
    site TEXT NOT NULL,
    resource TEXT NOT NULL,
    PRIMARY KEY (tenant_id, kind, address),
    UNIQUE (kind, address)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO publications_2 (tenant_id, kind, address, site, resource)
    SELECT tenant_id, kind, address, site, resource FROM publications;
  DROP TABLE publications;
  ALTER TABLE publications_2 RENAME TO publications;
  CREATE UNIQUE INDEX publications_by_name ON publications (address) WHERE kind <> 'tcp';
  `,
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

interface IssuedColumns {
  serial: string
  fingerprint: string
  not_after: number
  created_at: number
  revoked_at: number | null
}

/** The tables as kysely sees them. */
export interface Tables {
  sites: { tenant_id: string; name: string; created_at: number }
  join_tokens: {
    tenant_id: string
    hash: Uint8Array
    site: string
    created_at: number
    expires_at: number
    used_at: number | null
    agent_id: string | null
  }
  agents: IssuedColumns & {
    tenant_id: string
    id: string
    site: string
    previous_serial: string | null
    generation: Generated<number>
    version: string
    instance: string
    source_address: string
    renewed_at: number
  }
  connectors: IssuedColumns & { tenant_id: string; id: string; name: string }
  grants: { tenant_id: string; connector_id: string; site: string; resource: string }
  publications: {
    tenant_id: string
    kind: 'tcp' | 'host' | 'sni'
    address: string
    site: string
    resource: string
  }
}
