/** Agents that enrol, connectors with grants, publications. */
export const FIRST = `
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
`
