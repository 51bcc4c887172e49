/**
 * Everything that the audit chain tells of, with what its `object` is. A name is a promise: filters and exports match on
 * it, and records are never rewritten. A new act gets a line here first; docs/audit.md shows the same table.
 */
export const AUDIT_ACTIONS = {
  'relay.start': 'the relay began; outcome SESSION_LOST where it had not been stopped before',
  'relay.stop': 'the relay ended and everything before is written',
  'audit.lost': 'records of streams that could not be kept; the object is their number',
  'audit.held': 'refusals beyond the rate at which they are written one by one; the object is their number',
  'tenant.add': 'a tenant',
  'tenant.remove': 'a tenant, with everything of it',
  'environment.add': 'an environment',
  'environment.remove': 'an environment',
  'token.create': 'the site of a join token',
  'agent.enroll': 'an agent',
  'agent.renew': 'an agent',
  'agent.revoke': 'an agent',
  'connector.add': 'a connector',
  'connector.revoke': 'a connector',
  'grant.set': 'a connector; the detail names its resources',
  'grant.add': 'a connector; the detail names the resource and the terms',
  'grant.remove': 'a connector; the detail names the resource',
  'grant.request': 'a request for access; the detail names connector, resource and reason',
  'grant.approve': 'a request for access',
  'grant.refuse': 'a request for access',
  'restriction.set': 'a restriction; the detail names its ranges',
  'restriction.remove': 'a restriction',
  'restriction.attach': 'a restriction; the detail says to what',
  'restriction.detach': 'a restriction; the detail says from what',
  'support.add': 'a support access; the detail says who, as what, from when to when and why',
  'support.use': 'a support access that is used, after half an hour in which it was not',
  'support.revoke': 'a support access; the detail is the person',
  'freeze.add': 'what is frozen, by name; the detail says of what kind and why',
  'freeze.remove': 'what was frozen',
  'publication.add': 'an address; the detail names the resource',
  'publication.remove': 'an address; the detail names the resource',
  'secret.set': 'the name of a secret',
  'secret.remove': 'the name of a secret',
  'key.rotate': 'the version of the key that seals the secrets of the tenant from now on',
  'person.add': 'a person; the detail is the login name',
  'person.remove': 'a person; the detail is the login name',
  'person.login': 'a person; the detail says by what, or why not; empty where the name is unknown',
  'person.confirm': 'a person who proved again to be there, before something dangerous',
  'person.logout': 'a person',
  'person.lock': 'a person, after too many logins that failed',
  'person.unlock': 'a person',
  'person.link': 'a person who may set a password by a link; empty for the first owner',
  'person.password': 'a person with a new password; all sessions end',
  'person.device': 'a person who let a command line in; the detail says from where it asked',
  'role.grant': 'a person; the detail names the role',
  'role.revoke': 'a person; the detail names the role',
  'factor.add': 'a person; the detail says what kind',
  'factor.remove': 'a person; the detail says what kind',
  'key.add': 'a key of a person; the detail is its name',
  'key.remove': 'a key of a person; the detail is its name',
  'lockout.set': 'after how many failures an account is locked',
  'delivery.add': 'where audit records are sent from now on; the detail says by what',
  'delivery.remove': 'where audit records are sent no more',
  'sso.add': 'an identity provider; the detail says of what kind',
  'sso.update': 'an identity provider with other settings',
  'sso.remove': 'an identity provider; the detail says how many sessions ended',
  'sso.refuse':
    'an identity provider; outcome SIGN_ON or IDENTITY_PROVIDER: it let nobody in, and the detail says why',
  'sso.roles':
    'a person whose roles follow an identity provider; the detail names it and the rules that matched',
  'sso.logout': 'an identity provider that ended sessions; the detail says how many',
  'operation.refuse':
    'the operation that was refused; outcome: why; the detail names a member of the input that was wrong',
  'session.open': 'an agent or connector that came in',
  'session.close': 'an agent or connector that left; outcome: why',
  'session.refuse': 'an agent or connector that was not let in',
  'stream.open': 'SITE/RESOURCE',
  'stream.close': 'SITE/RESOURCE; outcome: why; the detail holds the bytes',
  'stream.refuse': 'SITE/RESOURCE that was not granted or could not be reached',
} as const satisfies Record<string, string>

export type AuditAction = keyof typeof AUDIT_ACTIONS

/** True for the name of an act. */
export function isAuditAction(text: string): text is AuditAction {
  return Object.hasOwn(AUDIT_ACTIONS, text)
}
