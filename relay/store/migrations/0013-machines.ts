/** Programs that ask the API with a secret of their own. */
export const MACHINES = `
CREATE TABLE machines (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  environment TEXT,
  site TEXT,
  via_api INTEGER NOT NULL CHECK (via_api IN (0, 1)),
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  created_at INTEGER NOT NULL,
  revoked_at INTEGER,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX machines_by_name ON machines (tenant_id, name) WHERE revoked_at IS NULL;
`
