/** Named people who help for a set time. A person that is removed leaves what it had, and nobody has its id again. */
export const SUPPORT = `
CREATE TABLE support_grants (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('operator', 'auditor', 'developer')),
  environment TEXT,
  site TEXT,
  reason TEXT NOT NULL,
  begins_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL CHECK (ends_at > begins_at),
  giver_kind TEXT NOT NULL,
  giver_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER,
  revoked_at INTEGER,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX support_grants_by_person ON support_grants (tenant_id, person_id, ends_at);
`
