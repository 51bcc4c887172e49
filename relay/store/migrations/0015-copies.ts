/** What a tenant wants done about an agent of which there are two; the alarm alone where there is no row. */
export const COPIES = `
CREATE TABLE copy_policies (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  response TEXT NOT NULL CHECK (response IN ('alarm', 'freeze')),
  PRIMARY KEY (tenant_id)
) STRICT, WITHOUT ROWID;
`
