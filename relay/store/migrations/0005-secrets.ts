/** Keys of tenants, wrapped by a master key that is not here; and secrets, sealed under the key of their tenant. */
export const SECRETS = `
CREATE TABLE tenant_keys (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  version INTEGER NOT NULL CHECK (version > 0),
  wrapped BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  sealed BLOB NOT NULL,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
`
