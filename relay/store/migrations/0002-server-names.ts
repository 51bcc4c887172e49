/** Names that TLS asks for. A check cannot be changed in place; and a name leads to one place only, whatever its kind. */
export const SERVER_NAMES = `
CREATE TABLE publications_2 (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  kind TEXT NOT NULL CHECK (kind IN ('tcp', 'host', 'sni')),
  address TEXT NOT NULL,
  site TEXT NOT NULL,
  resource TEXT NOT NULL,
  PRIMARY KEY (tenant_id, kind, address),
  UNIQUE (kind, address)
) STRICT, WITHOUT ROWID;
INSERT INTO publications_2 (tenant_id, kind, address, site, resource)
  SELECT tenant_id, kind, address, site, resource FROM publications;
DROP TABLE publications;
ALTER TABLE publications_2 RENAME TO publications;
CREATE UNIQUE INDEX publications_by_name ON publications (address) WHERE kind <> 'tcp';
`
