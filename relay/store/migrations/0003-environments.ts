/**
 * Tenants have environments, and everything stands in one of them; what there was is in `production`. Keys cannot be
 * changed in place: each table is made anew, the children go first, and a rename takes the references along.
 */
export const ENVIRONMENTS = `
ALTER TABLE tenants ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;

CREATE TABLE environments (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  is_production INTEGER NOT NULL CHECK (is_production IN (0, 1)),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO environments
  SELECT tenants.id, made.column1, made.column1 = 'production', 0
  FROM tenants, (VALUES ('development'), ('test'), ('production')) AS made;

CREATE TABLE sites_3 (
  tenant_id TEXT NOT NULL,
  environment TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, environment, name),
  FOREIGN KEY (tenant_id, environment) REFERENCES environments (tenant_id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO sites_3 SELECT tenant_id, 'production', name, created_at FROM sites;

CREATE TABLE join_tokens_3 (
  tenant_id TEXT NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  environment TEXT NOT NULL,
  site TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER,
  agent_id TEXT,
  PRIMARY KEY (tenant_id, hash),
  FOREIGN KEY (tenant_id, environment, site) REFERENCES sites_3 (tenant_id, environment, name)
) STRICT, WITHOUT ROWID;
INSERT INTO join_tokens_3
  SELECT tenant_id, hash, 'production', site, created_at, expires_at, used_at, agent_id FROM join_tokens;
DROP TABLE join_tokens;
ALTER TABLE join_tokens_3 RENAME TO join_tokens;
CREATE UNIQUE INDEX join_tokens_by_hash ON join_tokens (hash);

CREATE TABLE agents_3 (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  environment TEXT NOT NULL,
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
  FOREIGN KEY (tenant_id, environment, site) REFERENCES sites_3 (tenant_id, environment, name)
) STRICT, WITHOUT ROWID;
INSERT INTO agents_3
  SELECT tenant_id, id, 'production', site, serial, previous_serial, generation, fingerprint, not_after, version,
    instance, source_address, created_at, renewed_at, revoked_at
  FROM agents;
DROP TABLE agents;
ALTER TABLE agents_3 RENAME TO agents;
CREATE INDEX agents_by_site ON agents (tenant_id, environment, site, created_at);

DROP TABLE sites;
ALTER TABLE sites_3 RENAME TO sites;

CREATE TABLE connectors_3 (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  environment TEXT NOT NULL,
  name TEXT NOT NULL,
  serial TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  not_after INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, environment) REFERENCES environments (tenant_id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO connectors_3
  SELECT tenant_id, id, 'production', name, serial, fingerprint, not_after, created_at, revoked_at FROM connectors;

CREATE TABLE grants_3 (
  tenant_id TEXT NOT NULL,
  connector_id TEXT NOT NULL,
  site TEXT NOT NULL,
  resource TEXT NOT NULL,
  PRIMARY KEY (tenant_id, connector_id, site, resource),
  FOREIGN KEY (tenant_id, connector_id) REFERENCES connectors_3 (tenant_id, id)
) STRICT, WITHOUT ROWID;
INSERT INTO grants_3 SELECT tenant_id, connector_id, site, resource FROM grants;
DROP TABLE grants;
DROP TABLE connectors;
ALTER TABLE connectors_3 RENAME TO connectors;
ALTER TABLE grants_3 RENAME TO grants;
CREATE UNIQUE INDEX connectors_by_name ON connectors (tenant_id, environment, name) WHERE revoked_at IS NULL;

CREATE TABLE publications_3 (
  tenant_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('tcp', 'host', 'sni')),
  address TEXT NOT NULL,
  environment TEXT NOT NULL,
  site TEXT NOT NULL,
  resource TEXT NOT NULL,
  PRIMARY KEY (tenant_id, kind, address),
  UNIQUE (kind, address),
  FOREIGN KEY (tenant_id, environment) REFERENCES environments (tenant_id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO publications_3 SELECT tenant_id, kind, address, 'production', site, resource FROM publications;
DROP TABLE publications;
ALTER TABLE publications_3 RENAME TO publications;
CREATE UNIQUE INDEX publications_by_name ON publications (address) WHERE kind <> 'tcp';
`
