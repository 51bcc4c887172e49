/**
 * What is of the relay itself and has a row of its own (deliveries of its chain, the keys that sign them) refers to it as tables
 * of tenants do. It is no tenant: no list of them has it.
 */
export const RELAY_ROW = `
INSERT INTO tenants (id, created_at) VALUES ('@relay', 0);
`
