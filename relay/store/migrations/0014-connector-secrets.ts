/** Connectors that come by tokens for a client secret: those have no certificate, and its columns are empty. */
export const CONNECTOR_SECRETS = `
ALTER TABLE connectors ADD COLUMN secret_hash BLOB CHECK (secret_hash IS NULL OR length(secret_hash) = 32);
`
