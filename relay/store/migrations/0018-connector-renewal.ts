/** Connectors renew their certificates as agents do. */
export const CONNECTOR_RENEWAL = `
ALTER TABLE connectors ADD COLUMN previous_serial TEXT;
ALTER TABLE connectors ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
`
