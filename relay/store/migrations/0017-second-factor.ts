/** Since when a tenant demands a second factor, and which sessions began with one. The sessions that are there say so in `how`. */
export const SECOND_FACTOR = `
ALTER TABLE login_policies ADD COLUMN second_factor_since INTEGER;
ALTER TABLE person_sessions ADD COLUMN second_factor INTEGER NOT NULL DEFAULT 0 CHECK (second_factor IN (0, 1));
UPDATE person_sessions SET second_factor = 1 WHERE how LIKE 'password %';
`
