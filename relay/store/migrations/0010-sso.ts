/** Identity providers of a tenant, the people whom they know, and the sessions that began there. */
export const SSO = `
-- Settings are JSON without secrets; those are among the secrets of the tenant.
CREATE TABLE identity_providers (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('oidc', 'saml')),
  settings TEXT NOT NULL,
  revision INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- assignments: JSON of the roles that the provider gave last, so that it can take them back and no other.
CREATE TABLE federated_people (
  tenant_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  subject TEXT NOT NULL,
  person_id TEXT NOT NULL,
  assignments TEXT NOT NULL,
  PRIMARY KEY (tenant_id, provider, subject),
  FOREIGN KEY (tenant_id, provider) REFERENCES identity_providers (tenant_id, name),
  FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX federated_people_by_person ON federated_people (tenant_id, person_id);

CREATE TABLE federated_sessions (
  tenant_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  subject TEXT NOT NULL,
  sid TEXT NOT NULL,
  PRIMARY KEY (tenant_id, session_id),
  FOREIGN KEY (tenant_id, provider) REFERENCES identity_providers (tenant_id, name),
  FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX federated_sessions_by_subject ON federated_sessions (tenant_id, provider, subject);
CREATE INDEX federated_sessions_by_person ON federated_sessions (tenant_id, person_id);
`
