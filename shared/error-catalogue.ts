/**
 * The catalogue of everything that can go wrong. A code is a promise: callers match on `code`, never on the text. `wire`
 * numbers travel in RESET, STOP and GOAWAY (docs/protocol.md section 9); codes without one never leave the process.
 * docs/errors.md is made from this table.
 */
/** The stretch of the road on which something failed. */
export type Leg = 'connector-relay' | 'proxy' | 'relay' | 'relay-agent' | 'agent' | 'agent-target' | 'local'

/** Who can put it right. `nobody` means: it mends itself, try again. */
export type Actor = 'nobody' | 'connector developer' | 'relay operator' | 'site administrator'

export interface ErrorEntry {
  /** Number in RESET, STOP and GOAWAY, 0 to 0xffff; undefined for codes that never cross the wire. */
  readonly wire?: number
  /** Status of an HTTP answer that reports it. */
  readonly http: number
  /** SOCKS5 reply byte (RFC 1928 section 6). */
  readonly socks: number
  /** Exit status of a command that ends with it (docs/cli.md). */
  readonly exit: number
  /** True where the same request may be sent again unchanged, because nothing reached the target. */
  readonly retryable: boolean
  readonly leg: Leg
  readonly actor: Actor
  /** One sentence for a person: what happened. */
  readonly text: string
  /** What to do next, as a command where there is one. */
  readonly next: string
}

/** Exit statuses of the command line; the table in docs/cli.md is made from it. */
export const EXIT = {
  ok: 0,
  internal: 1,
  usage: 2,
  denied: 3,
  unreachable: 4,
  identity: 5,
  target: 6,
  local: 7,
  different: 8,
  interrupted: 130,
} as const

// One line an entry, so that the columns can be compared.
// biome-ignore format: a table
export const ERRORS = {
  OK: { wire: 0, http: 200, socks: 0, exit: EXIT.ok, retryable: false, leg: 'local', actor: 'nobody', text: 'No error.', next: '' },
  PROTOCOL: { wire: 1, http: 502, socks: 1, exit: EXIT.internal, retryable: false, leg: 'local', actor: 'relay operator', text: 'The peer broke the tunnel protocol.', next: 'compare versions: sallyport --version on both sides' },
  INTERNAL: { wire: 2, http: 500, socks: 1, exit: EXIT.internal, retryable: false, leg: 'local', actor: 'relay operator', text: 'A fault inside Sallyport.', next: 'look at the log of the leg named here' },
  FLOW_CONTROL: { wire: 3, http: 502, socks: 1, exit: EXIT.internal, retryable: false, leg: 'local', actor: 'relay operator', text: 'The peer sent more than it was granted.', next: 'compare versions: sallyport --version on both sides' },
  REFUSED: { wire: 4, http: 503, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'relay-agent', actor: 'nobody', text: 'The stream was refused before anything was dialled.', next: 'try again' },
  CANCELLED: { wire: 5, http: 499, socks: 1, exit: EXIT.interrupted, retryable: false, leg: 'connector-relay', actor: 'nobody', text: 'The opener gave the stream up.', next: '' },
  DENIED_BY_SITE: { wire: 6, http: 403, socks: 2, exit: EXIT.denied, retryable: false, leg: 'agent', actor: 'site administrator', text: 'The rules on the site do not allow this.', next: 'on the site: sallyport agent list' },
  DENIED_BY_RELAY: { wire: 7, http: 403, socks: 2, exit: EXIT.denied, retryable: false, leg: 'relay', actor: 'relay operator', text: 'The relay does not grant this resource to this connector, or there is no such resource.', next: 'at the relay: sallyport relay list' },
  DNS: { wire: 8, http: 502, socks: 4, exit: EXIT.target, retryable: true, leg: 'agent-target', actor: 'site administrator', text: 'The site cannot resolve the name of the target.', next: 'on the site: sallyport agent list' },
  CONNECTION_REFUSED: { wire: 9, http: 502, socks: 5, exit: EXIT.target, retryable: true, leg: 'agent-target', actor: 'site administrator', text: 'The target refused the connection.', next: 'on the site: is the service running on the port of the rule?' },
  CONNECT_TIMEOUT: { wire: 10, http: 504, socks: 6, exit: EXIT.target, retryable: true, leg: 'agent-target', actor: 'site administrator', text: 'The target did not answer in time.', next: 'on the site: does a firewall drop packets to the target?' },
  UNREACHABLE: { wire: 11, http: 502, socks: 3, exit: EXIT.target, retryable: true, leg: 'agent-target', actor: 'site administrator', text: 'The site has no route to the target.', next: 'on the site: sallyport agent list' },
  TARGET_RESET: { wire: 12, http: 502, socks: 1, exit: EXIT.target, retryable: false, leg: 'agent-target', actor: 'site administrator', text: 'The target broke the connection.', next: 'look at the log of the target' },
  IDLE: { wire: 13, http: 504, socks: 6, exit: EXIT.unreachable, retryable: false, leg: 'agent', actor: 'nobody', text: 'Nothing moved on the half-closed stream for too long.', next: 'open it again' },
  OVERLOADED: { wire: 14, http: 503, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'relay', actor: 'relay operator', text: 'A limit was reached; nothing was dialled.', next: 'try again later; at the relay: sallyport relay status' },
  NOT_HERE: { wire: 15, http: 503, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'relay', actor: 'nobody', text: 'The agent is not connected to this relay.', next: 'try again' },
  SESSION_LOST: { wire: 16, http: 502, socks: 1, exit: EXIT.unreachable, retryable: false, leg: 'relay-agent', actor: 'nobody', text: 'The tunnel broke and did not come back in time.', next: 'open it again' },
  SEAL: { wire: 17, http: 502, socks: 2, exit: EXIT.identity, retryable: false, leg: 'agent', actor: 'site administrator', text: 'The sealed stream could not be proved authentic.', next: 'compare the fingerprints of both ends' },
  EXPIRED: { wire: 18, http: 403, socks: 2, exit: EXIT.identity, retryable: false, leg: 'relay', actor: 'relay operator', text: 'The certificate or grant has expired.', next: 'at the relay: sallyport relay status' },
  OPEN_TIMEOUT: { wire: 19, http: 504, socks: 6, exit: EXIT.unreachable, retryable: false, leg: 'relay-agent', actor: 'nobody', text: 'The stream was not opened in time.', next: 'at the relay: sallyport relay status' },
  GONE: { wire: 20, http: 410, socks: 1, exit: EXIT.unreachable, retryable: false, leg: 'local', actor: 'nobody', text: 'The peer no longer knows this stream.', next: 'open it again' },
  ENHANCE_CALM: { wire: 21, http: 429, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'local', actor: 'connector developer', text: 'Too many requests of one kind.', next: 'slow down and try again' },
  REPLACED: { wire: 22, http: 503, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'relay-agent', actor: 'nobody', text: 'A newer session of the same agent took over.', next: '' },
  DRAINING: { wire: 23, http: 503, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'relay', actor: 'nobody', text: 'The peer is shutting down and takes no new streams.', next: 'try again' },
  REVOKED: { wire: 24, http: 403, socks: 2, exit: EXIT.identity, retryable: false, leg: 'relay', actor: 'relay operator', text: 'The identity was revoked.', next: 'ask the relay operator for a new join string or credentials file' },
  TARGET_TLS: { wire: 25, http: 502, socks: 1, exit: EXIT.target, retryable: false, leg: 'agent-target', actor: 'site administrator', text: "The target's TLS certificate does not hold.", next: 'on the site: sallyport agent list' },
  AGENT_OFFLINE: { wire: 26, http: 503, socks: 3, exit: EXIT.unreachable, retryable: true, leg: 'relay-agent', actor: 'site administrator', text: 'No agent of this site is connected.', next: 'on the site: sallyport agent status' },
  OUTDATED: { wire: 27, http: 403, socks: 2, exit: EXIT.denied, retryable: false, leg: 'relay-agent', actor: 'site administrator', text: 'The relay takes only agents of a newer or another signed release.', next: 'on the site: sallyport agent status shows which release runs; install the one that is asked for' },
  TARGET_UNHEALTHY: { wire: 29, http: 502, socks: 1, exit: EXIT.target, retryable: false, leg: 'agent-target', actor: 'site administrator', text: 'The target takes connections and does not answer as it should.', next: 'look at the log of the target; on the site: sallyport agent status' },
  PAUSED: { wire: 28, http: 503, socks: 2, exit: EXIT.denied, retryable: true, leg: 'agent', actor: 'site administrator', text: 'The site has paused its agent.', next: 'on the site: sallyport agent resume' },
  FROZEN: { wire: 30, http: 403, socks: 2, exit: EXIT.denied, retryable: false, leg: 'relay', actor: 'relay operator', text: 'An operator of the relay has stopped this for now.', next: 'at the relay: sallyport relay frozen' },
  RESTRICTED: { wire: 31, http: 403, socks: 2, exit: EXIT.denied, retryable: false, leg: 'relay', actor: 'relay operator', text: 'A restriction of the relay does not allow this address or certificate.', next: 'at the relay: sallyport relay restriction list' },
  UNANSWERED: { wire: 33, http: 504, socks: 1, exit: EXIT.unreachable, retryable: false, leg: 'relay-agent', actor: 'nobody', text: 'The path was lost before the agent answered: nobody knows whether the target was reached.', next: 'open it again where a second connection does no harm' },
  USAGE: { http: 400, socks: 1, exit: EXIT.usage, retryable: false, leg: 'local', actor: 'nobody', text: 'The command line is not right.', next: 'sallyport --help' },
  JOIN_STRING: { http: 400, socks: 1, exit: EXIT.usage, retryable: false, leg: 'local', actor: 'site administrator', text: "The join string is not whole or not one of Sallyport's.", next: 'copy it again; at the relay: sallyport relay join-token SITE' },
  JOIN_TOKEN: { http: 403, socks: 1, exit: EXIT.identity, retryable: false, leg: 'relay', actor: 'relay operator', text: 'The join token is unknown, spent or too old.', next: 'at the relay: sallyport relay join-token SITE' },
  RELAY_UNREACHABLE: { http: 502, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'connector-relay', actor: 'nobody', text: 'The relay cannot be reached.', next: 'check the address, the firewall and the proxy on the way to the relay' },
  PROXY_AUTH: { http: 407, socks: 2, exit: EXIT.identity, retryable: false, leg: 'proxy', actor: 'site administrator', text: 'The proxy on the way to the relay wants credentials that it did not get.', next: 'put USER:PASSWORD into a file of mode 0600 and name it: --proxy-credentials-file FILE' },
  PROXY_UNREACHABLE: { http: 502, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'proxy', actor: 'site administrator', text: 'The proxy on the way to the relay cannot be reached or gave no right answer.', next: 'check the address of the proxy: --proxy URL, or the environment variable HTTPS_PROXY' },
  PROXY_REFUSED: { http: 502, socks: 2, exit: EXIT.unreachable, retryable: true, leg: 'proxy', actor: 'site administrator', text: 'The proxy does not open the way to the relay.', next: 'ask the network team to allow CONNECT to the address of the relay' },
  PAC: { http: 502, socks: 1, exit: EXIT.usage, retryable: true, leg: 'proxy', actor: 'site administrator', text: 'The PAC file cannot be used.', next: 'open the PAC file in a browser from this machine, or name the proxy itself: --proxy URL' },
  RELAY_IDENTITY: { http: 502, socks: 1, exit: EXIT.identity, retryable: false, leg: 'connector-relay', actor: 'relay operator', text: 'What answered is not the relay that was pinned.', next: 'is there a TLS inspector on the way? compare the CA hash with the relay operator' },
  CLOCK: { http: 502, socks: 1, exit: EXIT.identity, retryable: true, leg: 'local', actor: 'site administrator', text: 'The clocks of this machine and of the relay do not fit together.', next: 'set the right time, such as: timedatectl set-ntp true' },
  IDENTITY: { http: 401, socks: 2, exit: EXIT.identity, retryable: false, leg: 'relay', actor: 'relay operator', text: 'The relay does not know this identity.', next: 'ask the relay operator for a new join string or credentials file' },
  CREDENTIALS: { http: 400, socks: 1, exit: EXIT.usage, retryable: false, leg: 'local', actor: 'connector developer', text: 'The credentials file cannot be used.', next: 'at the relay: sallyport relay connector add NAME --resource SITE/RESOURCE' },
  POLICY: { wire: 32, http: 400, socks: 1, exit: EXIT.usage, retryable: false, leg: 'local', actor: 'site administrator', text: 'The rules file is not right; the last good rules stay in force.', next: 'mend the line named here; sallyport agent list' },
  CONFIG: { http: 400, socks: 1, exit: EXIT.usage, retryable: false, leg: 'local', actor: 'nobody', text: 'A setting is not right.', next: 'sallyport --help' },
  NOT_RUNNING: { http: 503, socks: 1, exit: EXIT.local, retryable: true, leg: 'local', actor: 'nobody', text: 'Nothing is running on this data directory.', next: 'sallyport relay up --data DIR, or sallyport agent run --data DIR' },
  LOGIN: { http: 401, socks: 2, exit: EXIT.identity, retryable: false, leg: 'relay', actor: 'nobody', text: 'This needs a login.', next: 'sallyport login' },
  LOGIN_AGAIN: { http: 401, socks: 2, exit: EXIT.identity, retryable: false, leg: 'relay', actor: 'nobody', text: 'This needs a login of the last five minutes.', next: 'log in again: sallyport login' },
  SECOND_FACTOR: { http: 403, socks: 2, exit: EXIT.denied, retryable: false, leg: 'relay', actor: 'nobody', text: 'The tenant demands a second factor, and this login has shown none.', next: 'sallyport account totp, then log in with it: sallyport login; by single sign-on the identity provider has to ask for it' },
  SIGN_ON: { http: 403, socks: 2, exit: EXIT.identity, retryable: false, leg: 'relay', actor: 'relay operator', text: 'The single sign-on was refused.', next: 'begin the sign-on again; the reason is in the audit: sallyport relay audit show' },
  DRIFT: { http: 409, socks: 1, exit: EXIT.different, retryable: false, leg: 'relay', actor: 'relay operator', text: 'The relay is not as the file says.', next: 'sallyport apply FILE, or mend the file: sallyport export' },
  IDENTITY_PROVIDER: { http: 502, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'relay', actor: 'relay operator', text: 'The identity provider cannot be reached or gave no right answer.', next: 'sallyport relay sso test NAME' },
  FORBIDDEN: { http: 403, socks: 2, exit: EXIT.denied, retryable: false, leg: 'relay', actor: 'relay operator', text: 'Your roles do not allow this.', next: 'ask an administrator of the tenant for a role that does' },
  NOT_FOUND: { http: 404, socks: 1, exit: EXIT.usage, retryable: false, leg: 'relay', actor: 'relay operator', text: 'There is nothing of that name.', next: 'sallyport relay list' },
  INPUT: { http: 400, socks: 1, exit: EXIT.usage, retryable: false, leg: 'relay', actor: 'nobody', text: 'A part of the request is not right.', next: 'mend the member that is named here; docs/api.md lists what each takes' },
  FOREIGN_ORIGIN: { http: 403, socks: 2, exit: EXIT.denied, retryable: false, leg: 'relay', actor: 'nobody', text: 'The request does not come from a page of this relay.', next: 'send it from a page of the relay, or with a token' },
  HTTP_METHOD: { http: 405, socks: 1, exit: EXIT.usage, retryable: false, leg: 'relay', actor: 'nobody', text: 'The path does not take this method.', next: 'use one that the header Allow names' },
  PRECONDITION: { http: 412, socks: 1, exit: EXIT.usage, retryable: false, leg: 'relay', actor: 'nobody', text: 'It is no longer what If-Match says; nothing was changed.', next: 'read it again and decide anew' },
  HTTP_BODY_TOO_LARGE: { http: 413, socks: 1, exit: EXIT.usage, retryable: false, leg: 'relay', actor: 'nobody', text: 'The body of the request is too long.', next: 'send less at once' },
  HTTP_MEDIA_TYPE: { http: 415, socks: 1, exit: EXIT.usage, retryable: false, leg: 'relay', actor: 'nobody', text: 'The body is not of the type that this path takes.', next: 'send application/json' },
  IDEMPOTENCY: { http: 422, socks: 1, exit: EXIT.usage, retryable: false, leg: 'relay', actor: 'nobody', text: 'The idempotency key belongs to another request.', next: 'take a new key for each new request' },
  CONFLICT: { http: 409, socks: 1, exit: EXIT.usage, retryable: false, leg: 'relay', actor: 'relay operator', text: 'The name is taken.', next: 'sallyport relay list' },
  LISTEN: { http: 500, socks: 1, exit: EXIT.local, retryable: false, leg: 'local', actor: 'nobody', text: 'The address cannot be listened on.', next: 'choose another port: --listen 127.0.0.1:0' },
  SERVICE: { http: 500, socks: 1, exit: EXIT.local, retryable: false, leg: 'local', actor: 'site administrator', text: 'The service manager of this machine did not do what it was asked for.', next: 'sallyport agent service status' },
  STORE: { http: 503, socks: 1, exit: EXIT.local, retryable: false, leg: 'local', actor: 'relay operator', text: 'The store cannot be read or written; nothing was changed.', next: 'check the disk and the data directory, or restore a backup' },
  AUDIT: { http: 500, socks: 1, exit: EXIT.identity, retryable: false, leg: 'relay', actor: 'relay operator', text: 'A record or a signature of the relay does not hold.', next: 'keep it as it is, and compare it with a backup: sallyport audit export' },
  DELIVERY: { http: 502, socks: 1, exit: EXIT.unreachable, retryable: true, leg: 'relay', actor: 'relay operator', text: 'Audit records were not delivered.', next: 'sallyport audit delivery list' },
  BACKUP: { http: 400, socks: 1, exit: EXIT.identity, retryable: false, leg: 'local', actor: 'relay operator', text: 'The backup cannot be restored; nothing was changed.', next: 'try the backup of another day' },
  DISK: { http: 507, socks: 1, exit: EXIT.local, retryable: true, leg: 'local', actor: 'nobody', text: 'The disk does not take what has to be written; nothing was changed.', next: 'make room on the disk of the data directory, or see what is wrong with it: df -h, dmesg' },
  PERMISSIONS: { http: 500, socks: 1, exit: EXIT.local, retryable: false, leg: 'local', actor: 'nobody', text: 'A private file or directory is open to others.', next: 'chmod 0700 the directory and 0600 the file named here' },
  HTTP_BAD_REQUEST: { http: 400, socks: 1, exit: EXIT.usage, retryable: false, leg: 'connector-relay', actor: 'connector developer', text: 'The HTTP request is not well formed.', next: 'see the detail of this problem' },
  HTTP_HEADERS_TOO_LARGE: { http: 431, socks: 1, exit: EXIT.usage, retryable: false, leg: 'connector-relay', actor: 'connector developer', text: 'The headers of the HTTP request are too large or too many.', next: 'send fewer or smaller headers; are there old cookies?' },
  HTTP_REQUEST_TIMEOUT: { http: 408, socks: 6, exit: EXIT.unreachable, retryable: false, leg: 'connector-relay', actor: 'connector developer', text: 'The HTTP request did not arrive in time.', next: 'send it again' },
  HTTP_ANSWER_TIMEOUT: { http: 504, socks: 6, exit: EXIT.target, retryable: false, leg: 'agent-target', actor: 'site administrator', text: 'The target took too long to answer the HTTP request.', next: 'look at the log of the target' },
  HTTP_MISDIRECTED: { http: 421, socks: 1, exit: EXIT.usage, retryable: false, leg: 'connector-relay', actor: 'connector developer', text: 'The request names another host than the connection.', next: 'use one host name for TLS and Host' },
  RELEASE_MANIFEST: { http: 400, socks: 1, exit: EXIT.identity, retryable: false, leg: 'local', actor: 'site administrator', text: "The release manifest is not whole or not one of Sallyport's.", next: 'do not install; fetch manifest and file again' },
  RELEASE_SIGNATURES: { http: 403, socks: 1, exit: EXIT.identity, retryable: false, leg: 'local', actor: 'site administrator', text: 'Too few of the release keys have signed this manifest.', next: 'do not install; ask who made the release, by a way that you trust' },
  RELEASE_CHANNEL: { http: 403, socks: 1, exit: EXIT.identity, retryable: false, leg: 'local', actor: 'site administrator', text: 'The release is one of another channel.', next: 'do not install; fetch the release of your channel' },
  RELEASE_EXPIRED: { http: 403, socks: 1, exit: EXIT.identity, retryable: false, leg: 'local', actor: 'site administrator', text: 'The release manifest is past its date, so a newer one may be held back.', next: 'fetch the newest manifest; is the clock of this machine right?' },
  RELEASE_OLD: { http: 403, socks: 1, exit: EXIT.identity, retryable: false, leg: 'local', actor: 'site administrator', text: 'The release is older than what may be installed here.', next: 'fetch the newest release' },
  RELEASE_FILE: { http: 403, socks: 1, exit: EXIT.identity, retryable: false, leg: 'local', actor: 'site administrator', text: 'The file is not the one that was released.', next: 'do not install; fetch the file again' },
} as const satisfies Record<string, ErrorEntry>
