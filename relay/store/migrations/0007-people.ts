/** People of a tenant: how they prove who they are, what they may, and the sessions and keys that they have. */
export const PEOPLE = `
CREATE TABLE people (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id TEXT NOT NULL,
  login TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  password_hash TEXT,
  failures INTEGER NOT NULL DEFAULT 0,
  locked_at INTEGER,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX people_by_login ON people (tenant_id, login);

CREATE TABLE login_policies (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  lockout_after INTEGER NOT NULL CHECK (lockout_after > 0),
  PRIMARY KEY (tenant_id)
) STRICT, WITHOUT ROWID;

-- An empty environment or site is the whole of the level above.
CREATE TABLE role_assignments (
  tenant_id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  role TEXT NOT NULL,
  environment TEXT NOT NULL,
  site TEXT NOT NULL,
  via_api INTEGER NOT NULL CHECK (via_api IN (0, 1)),
  PRIMARY KEY (tenant_id, person_id, role, environment, site),
  FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id)
) STRICT, WITHOUT ROWID;

-- Where a person has logged in from.
CREATE TABLE login_addresses (
  tenant_id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  address TEXT NOT NULL,
  last_at INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, person_id, address),
  FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id)
) STRICT, WITHOUT ROWID;

-- Links that work once. One without a person makes the first owner of the tenant.
CREATE TABLE person_links (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  hash BLOB NOT NULL,
  person_id TEXT,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, hash),
  FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id)
) STRICT, WITHOUT ROWID;

-- What is secret of a factor is among the secrets of the tenant, under the factor's id.
CREATE TABLE person_factors (
  tenant_id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('totp', 'webauthn')),
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  is_confirmed INTEGER NOT NULL CHECK (is_confirmed IN (0, 1)),
  counter INTEGER NOT NULL,
  credential TEXT NOT NULL,
  PRIMARY KEY (tenant_id, person_id, id),
  FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
  tenant_id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (tenant_id, person_id, hash),
  FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE person_sessions (
  tenant_id TEXT NOT NULL,
  hash BLOB NOT NULL,
  id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  carrier TEXT NOT NULL CHECK (carrier IN ('cookie', 'bearer')),
  how TEXT NOT NULL,
  source TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  authenticated_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, hash),
  FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_sessions_by_person ON person_sessions (tenant_id, person_id);

CREATE TABLE person_keys (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  name TEXT NOT NULL,
  hash BLOB NOT NULL,
  assignments TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX person_keys_by_hash ON person_keys (tenant_id, hash);
`
