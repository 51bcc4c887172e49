/** Where the records of a tenant's audit chain are sent, and how far that has come. */
export const DELIVERIES = `
CREATE TABLE deliveries (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('webhook', 'syslog')),
  target TEXT NOT NULL,
  ca TEXT,
  position INTEGER NOT NULL CHECK (position >= 0),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
`
