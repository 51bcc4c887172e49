/** What may be allowed or not. `read` shows, `write` changes. */
export const RIGHTS = [
  'relay:read',
  'relay:write',
  'tenant:read',
  'tenant:write',
  'people:read',
  'people:write',
  'sites:read',
  'sites:write',
  'connectors:read',
  'connectors:write',
  'grants:read',
  'grants:write',
  'grants:request',
  'grants:approve',
  'publications:read',
  'publications:write',
  'restrictions:read',
  'restrictions:write',
  'support:write',
  'freeze:write',
  'audit:read',
  'audit:write',
  'backup:write',
  /** One's own password, factors, keys and sessions: in every role, and for who has logged in also without any. */
  'self',
] as const

export type Right = (typeof RIGHTS)[number]

/** Roles that people and machines hold at a place. */
export const ROLES = ['owner', 'administrator', 'operator', 'auditor', 'developer'] as const

export type Role = (typeof ROLES)[number]

/** True for the name of a role. */
export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text)
}

/** Rights of the relay itself, which no role of a tenant holds. */
const OF_RELAY: readonly Right[] = ['relay:read', 'relay:write', 'backup:write']

const OF_TENANT = RIGHTS.filter((right) => !OF_RELAY.includes(right))

/** Which rights each role holds. The only truth about it: documents, the API's description and tests are made from here. */
export const ROLE_RIGHTS: Readonly<Record<Role, readonly Right[]>> = {
  owner: OF_TENANT,
  administrator: OF_TENANT.filter((right) => right !== 'tenant:write' && right !== 'support:write'),
  operator: [
    'self',
    'tenant:read',
    'sites:read',
    'sites:write',
    'connectors:read',
    'grants:read',
    'grants:approve',
    'publications:read',
    'publications:write',
    'restrictions:read',
    'freeze:write',
  ],
  auditor: [
    'self',
    'tenant:read',
    'people:read',
    'sites:read',
    'connectors:read',
    'grants:read',
    'publications:read',
    'restrictions:read',
    'audit:read',
  ],
  developer: [
    'self',
    'tenant:read',
    'sites:read',
    'connectors:read',
    'grants:read',
    'grants:request',
    'publications:read',
  ],
}
