/** How a command of the relay's side gets done what it is for. */
export interface CommandRow {
  /** Words behind `sallyport` that are enough for the command to ask; DIR holds the files `settings.json`, `secret` and `declared.toml`. */
  readonly line: string
  /** What it asks first, as operation or route of the API. Left out: it asks no relay. */
  readonly asks?: string
  /** What it asks after that, where the first one did not refuse. */
  readonly later?: readonly string[]
  /** Why it does not ask the relay of this machine, or no relay at all. */
  readonly here?: string
  /** Why it asks no other relay. */
  readonly local?: string
  /** What stands on standard input; URL is the relay. */
  readonly input?: string
}

const ACCOUNT = 'an account is a person’s who logged in; the operator of the machine has none'
const READS = 'reads the data directory, so that it works where no relay runs and takes no relay’s word'
const PLAIN = 'makes nobody’s login, and asks no relay'

/**
 * Every command of the relay’s side with the operation of the API that it uses, or why there is none. A new command that asks
 * a relay gets its row here; one that does not gets its reason.
 */
export const COMMANDS: readonly CommandRow[] = [
  { line: 'relay up', here: 'is the relay', local: 'is the relay' },
  { line: 'relay join-token hq', asks: 'agent.invite' },
  { line: 'relay connector add ci --resource hq/db', asks: 'connector.add' },
  { line: 'relay grant add ci hq/db', asks: 'grant.add' },
  { line: 'relay grant remove ci hq/db', asks: 'grant.remove' },
  { line: 'relay grant list ci', asks: 'grant.list' },
  { line: 'relay grant request ci hq/db --reason x', asks: 'grant.request' },
  { line: 'relay grant requests', asks: 'grant.requests' },
  { line: 'relay grant approve r1', asks: 'grant.approve' },
  { line: 'relay grant refuse r1', asks: 'grant.refuse' },
  { line: 'relay freeze site hq', asks: 'freeze.add' },
  { line: 'relay unfreeze site hq', asks: 'freeze.remove' },
  { line: 'relay frozen', asks: 'freeze.list' },
  { line: 'relay copies', asks: 'copies.show' },
  { line: 'relay copies freeze', asks: 'copies.set' },
  { line: 'relay machine add ci --role auditor', asks: 'machine.add' },
  { line: 'relay machine revoke ci', asks: 'machine.revoke' },
  { line: 'relay machine list', asks: 'machine.list' },
  { line: 'relay restriction set office --range 192.0.2.0/24', asks: 'restriction.set' },
  { line: 'relay restriction remove office', asks: 'restriction.remove' },
  { line: 'relay restriction list', asks: 'restriction.list' },
  { line: 'relay restriction attach office connector ci', asks: 'restriction.attach' },
  { line: 'relay restriction detach office connector ci', asks: 'restriction.detach' },
  { line: 'relay support add p1 --reason x', asks: 'support.add' },
  { line: 'relay support revoke s1', asks: 'support.revoke' },
  { line: 'relay support list', asks: 'support.list' },
  { line: 'relay setup-link', asks: 'setup.link' },
  { line: 'relay person add ann', asks: 'person.add' },
  { line: 'relay person list', asks: 'person.list' },
  { line: 'relay person remove ann', asks: 'person.remove' },
  { line: 'relay person unlock ann', asks: 'person.unlock' },
  { line: 'relay person reset ann', asks: 'person.reset' },
  { line: 'relay role grant ann auditor', asks: 'role.grant' },
  { line: 'relay role revoke ann auditor', asks: 'role.revoke' },
  { line: 'relay lockout 5', asks: 'lockout.set' },
  { line: 'relay second-factor', asks: 'second-factor.show' },
  { line: 'relay second-factor demanded', asks: 'second-factor.set' },
  { line: 'plan DIR/declared.toml', asks: 'declare.plan' },
  { line: 'apply DIR/declared.toml --yes', asks: 'declare.plan', later: ['declare.apply'] },
  { line: 'export', asks: 'declare.export' },
  { line: 'relay sso add idp DIR/settings.json', asks: 'sso.add' },
  { line: 'relay sso update idp DIR/settings.json', asks: 'sso.update' },
  { line: 'relay sso list', asks: 'sso.list' },
  { line: 'relay sso remove idp', asks: 'sso.remove' },
  { line: 'relay sso test idp', asks: 'sso.test' },
  { line: 'relay publish hq/db --tcp 127.0.0.1:5432', asks: 'publication.add' },
  { line: 'relay unpublish hq/db', asks: 'publication.remove' },
  { line: 'relay revoke agent hq', asks: 'agent.revoke' },
  { line: 'relay revoke connector ci', asks: 'connector.revoke' },
  { line: 'relay list', asks: 'site.list', later: ['agent.list', 'connector.list', 'publication.list'] },
  { line: 'relay status', asks: 'status.show' },
  { line: 'relay tenant add acme', asks: 'tenant.add' },
  { line: 'relay tenant list', asks: 'tenant.list' },
  { line: 'relay tenant export acme DIR/acme.json', asks: 'tenant.export', here: READS },
  { line: 'relay tenant remove acme --yes', asks: 'tenant.close', later: ['tenant.open', 'tenant.remove'] },
  { line: 'relay tenant verify-proof DIR/settings.json', here: PLAIN, local: PLAIN },
  { line: 'relay rekey', asks: 'key.rotate' },
  {
    line: 'relay operator add laptop --out DIR/token',
    asks: 'operator.add',
    local: 'a token makes no other',
  },
  { line: 'relay backups make', asks: 'backup.make' },
  { line: 'relay backups list', asks: 'backup.list' },
  { line: 'relay backups prune', asks: 'backup.prune' },
  {
    line: 'relay backups download x --out DIR/x',
    asks: 'backup.download',
    here: 'its files lie in the directory that relay up names',
  },
  { line: 'relay operator list', asks: 'operator.list' },
  { line: 'relay operator remove o1', asks: 'operator.remove' },
  { line: 'relay env add staging', asks: 'environment.add' },
  { line: 'relay env list', asks: 'environment.list' },
  { line: 'relay env remove staging', asks: 'environment.remove' },
  { line: 'relay backup --out DIR/x --passphrase-file DIR/secret', here: READS, local: READS },
  {
    line: 'relay restore DIR/x --passphrase-file DIR/secret',
    here: 'makes the data directory that a relay begins with',
    local: 'makes the data directory that a relay begins with',
  },
  { line: 'audit verify', asks: 'audit.verify', here: READS },
  { line: 'audit list', asks: 'audit.list', here: READS },
  { line: 'audit export', asks: 'audit.list', here: READS },
  { line: 'audit follow', asks: 'audit.live', here: READS },
  {
    line: 'audit verify --export DIR/settings.json',
    here: 'takes what was kept, and no relay’s word',
    local: 'takes what was kept, and no relay’s word',
  },
  { line: 'audit checkpoint', asks: 'audit.checkpoint', here: READS },
  { line: 'audit delivery add siem --syslog siem.example:6514', asks: 'delivery.add' },
  { line: 'audit delivery list', asks: 'delivery.list' },
  { line: 'audit delivery remove siem', asks: 'delivery.remove' },
  { line: 'audit delivery test siem', asks: 'delivery.test' },
  { line: 'login', asks: 'device.begin', later: ['device.poll'], here: ACCOUNT },
  {
    line: 'login --name ann',
    asks: 'session.login',
    later: ['session.second-factor'],
    here: ACCOUNT,
    input: 'x\n',
  },
  { line: 'login --key-file DIR/secret', asks: 'environment.list', here: ACCOUNT },
  { line: 'logout', asks: 'session.logout', here: ACCOUNT },
  { line: 'set-password', asks: 'link.spend', here: ACCOUNT, input: 'URL/set-password#x\nlong password\n' },
  { line: 'account show', asks: 'factor.list', later: ['session.list', 'key.list'], here: ACCOUNT },
  { line: 'account approve ABCD', asks: 'device.show', later: ['device.approve'], here: ACCOUNT },
  { line: 'account password', asks: 'password.change', here: ACCOUNT, input: 'old password\nnew password\n' },
  { line: 'account totp', asks: 'totp.begin', later: ['totp.confirm'], here: ACCOUNT },
  { line: 'account recovery-codes', asks: 'recovery.renew', here: ACCOUNT },
  { line: 'account end-session s1', asks: 'session.end', here: ACCOUNT },
  { line: 'account remove-factor f1', asks: 'factor.remove', here: ACCOUNT },
  { line: 'account key add ci --role auditor --out DIR/key', asks: 'key.add', here: ACCOUNT },
  { line: 'account key remove k1', asks: 'key.remove', here: ACCOUNT },
]

const BROWSER = 'is for browsers'
const PROVIDER = 'is for identity providers and browsers'

/** What the API offers and no command uses. */
export const WITHOUT_COMMAND: Readonly<Record<string, string>> = {
  'openapi.show': 'is for programs',
  'machine.token': 'is for programs',
  'session.confirm': BROWSER,
  'webauthn.begin': BROWSER,
  'webauthn.confirm': BROWSER,
  'sso.start': PROVIDER,
  'sso.callback': PROVIDER,
  'sso.backchannel-logout': PROVIDER,
  'sso.frontchannel-logout': PROVIDER,
  'sso.logout': PROVIDER,
  'sso.metadata': PROVIDER,
  'sso.acs': PROVIDER,
  'sso.saml-logout': PROVIDER,
}
