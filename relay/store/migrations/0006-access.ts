/** Grants with an end and hours, requests for access, and what is frozen. */
export const ACCESS = `
ALTER TABLE grants ADD COLUMN expires_at INTEGER;
ALTER TABLE grants ADD COLUMN hours TEXT;

CREATE TABLE grant_requests (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  connector_id TEXT NOT NULL,
  site TEXT NOT NULL,
  resource TEXT NOT NULL,
  reason TEXT NOT NULL,
  duration_ms INTEGER NOT NULL CHECK (duration_ms > 0),
  requester_kind TEXT NOT NULL,
  requester_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'approved', 'refused', 'withdrawn')),
  decider_kind TEXT,
  decider_id TEXT,
  decided_at INTEGER,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, connector_id) REFERENCES connectors (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_requests_by_resource ON grant_requests (tenant_id, connector_id, site, resource, state);

CREATE TABLE freezes (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  kind TEXT NOT NULL CHECK (kind IN ('tenant', 'site', 'resource', 'connector')),
  environment TEXT NOT NULL,
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, kind, environment, name)
) STRICT, WITHOUT ROWID;
`
