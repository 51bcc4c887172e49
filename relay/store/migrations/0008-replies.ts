/** Answers of the API that are kept for a day, so that a request that is sent again is not done again. */
export const REPLIES = `
CREATE TABLE replies (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id TEXT NOT NULL,
  caller TEXT NOT NULL,
  request_hash BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
`
