/** From which addresses, and with a certificate of which CA, something may be reached. */
export const RESTRICTIONS = `
CREATE TABLE restrictions (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  ranges TEXT NOT NULL,
  ca TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE restriction_uses (
  tenant_id TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('connector', 'resource', 'publication', 'logins', 'person')),
  environment TEXT NOT NULL,
  target TEXT NOT NULL,
  PRIMARY KEY (tenant_id, name, kind, environment, target),
  FOREIGN KEY (tenant_id, name) REFERENCES restrictions (tenant_id, name)
) STRICT, WITHOUT ROWID;
`
