/**
 * What the relay remembers, as an interface, so that SQLite on one machine and a PostgreSQL for several are exchanged
 * in one place. Rules for every implementation:
 * - `tenantId` comes first, and a row of another tenant looks exactly like one that does not exist.
 * - What resolves is committed: it survives a power cut.
 * - Times are milliseconds since 1970 and come from the caller.
 * - A failure of the storage itself is a TunnelError STORE, and nothing was changed.
 */

/** The tenant that the commands use. */
export const DEFAULT_TENANT = 'default'

export interface NewJoinToken {
  /** SHA-256 of the token, 32 bytes; the token itself is never stored. */
  readonly tokenHash: Uint8Array
  readonly site: string
  readonly createdAt: number
  readonly expiresAt: number
}

/** The certificate that an agent or connector holds now. */
export interface IssuedCertificate {
  /** Hexadecimal in lower case. */
  readonly serial: string
  /** Of the public key, see shared/identity/keys.ts. */
  readonly fingerprint: string
  readonly notAfter: number
}

export interface NewAgent extends IssuedCertificate {
  readonly id: string
  readonly createdAt: number
  /** Version of the program, as it said itself. */
  readonly version: string
  /** Nonce of the process that enrolled, as it said itself. */
  readonly instance: string
  /** Where the request came from. */
  readonly sourceAddress: string
}

export interface AgentRecord extends NewAgent {
  readonly site: string
  /** Accepted until the current certificate is used for the first time, since the answer with it may be lost. */
  readonly previousSerial: string | undefined
  /** 1 after enrolment, one more with each renewal. */
  readonly generation: number
  readonly renewedAt: number
  readonly revokedAt: number | undefined
}

export interface Grant {
  readonly site: string
  readonly resource: string
}

export interface NewConnector extends IssuedCertificate {
  readonly id: string
  readonly name: string
  readonly createdAt: number
}

export interface ConnectorRecord extends NewConnector {
  readonly revokedAt: number | undefined
}

/**
 * A resource that the relay offers by itself: on a TCP address, under an HTTP host name, or under a name that TLS asks
 * for (SNI), with TLS passed through.
 */
export interface Publication extends Grant {
  readonly kind: 'tcp' | 'host' | 'sni'
  /** `host:port` to listen on, or the name in lower case; taken once in the whole relay, a name by one kind. */
  readonly address: string
}

export interface StoreCounts {
  readonly sites: number
  /** Agents that are not revoked. */
  readonly agents: number
  /** Connectors that are not revoked. */
  readonly connectors: number
  readonly publications: number
  /** Join tokens neither spent nor expired. */
  readonly openJoinTokens: number
}

export interface Store extends AsyncDisposable {
  /** Adds the token, and its site where that is new. Forgets tokens that expired a week ago. */
  createJoinToken(tenantId: string, token: NewJoinToken): Promise<void>
  /** True where the token could be spent now; only spending it decides. */
  isJoinTokenOpen(tenantId: string, tokenHash: Uint8Array, now: number): Promise<boolean>
  /**
   * Spends the token and adds the agent to the token's site, both or neither.
   *
   * @returns the site
   * @throws {TunnelError} JOIN_TOKEN where the token is unknown, spent or expired
   */
  enrollAgent(tenantId: string, tokenHash: Uint8Array, agent: NewAgent): Promise<string>
  findAgent(tenantId: string, id: string): Promise<AgentRecord | undefined>
  /** By site, then by age. At most 10,000. */
  listAgents(tenantId: string, site?: string): Promise<readonly AgentRecord[]>
  /**
   * Notes that the current certificate was used: from now on the previous one is refused.
   *
   * @returns false where `serial` is not the current one
   */
  confirmAgentCertificate(tenantId: string, id: string, serial: string): Promise<boolean>
  /**
   * Puts a new certificate in the place of the one with `presentedSerial`, with the next generation.
   *
   * @returns the new generation, or undefined where the agent is unknown or revoked, or where the serial is neither
   * the current one nor the previous one that is still accepted
   */
  renewAgent(
    tenantId: string,
    id: string,
    presentedSerial: string,
    next: IssuedCertificate & { readonly renewedAt: number },
  ): Promise<number | undefined>
  /** @returns false where there is no such agent or it was revoked before */
  revokeAgent(tenantId: string, id: string, revokedAt: number): Promise<boolean>

  /** @throws {TunnelError} CONFLICT where a connector that is not revoked has the name */
  addConnector(tenantId: string, connector: NewConnector, grants: readonly Grant[]): Promise<void>
  findConnector(tenantId: string, id: string): Promise<ConnectorRecord | undefined>
  /** The connector of this name that is not revoked. */
  findConnectorByName(tenantId: string, name: string): Promise<ConnectorRecord | undefined>
  /** By name; revoked ones too. At most 10,000. */
  listConnectors(tenantId: string): Promise<readonly ConnectorRecord[]>
  /** @returns false where there is no such connector or it was revoked before */
  revokeConnector(tenantId: string, id: string, revokedAt: number): Promise<boolean>
  /** Replaces all grants of a connector. @throws {TunnelError} NOT_FOUND where it is unknown or revoked */
  setGrants(tenantId: string, connectorId: string, grants: readonly Grant[]): Promise<void>
  listGrants(tenantId: string, connectorId: string): Promise<readonly Grant[]>
  /** True where the connector is not revoked and was granted the resource. */
  isGranted(tenantId: string, connectorId: string, site: string, resource: string): Promise<boolean>

  /** @throws {TunnelError} CONFLICT where the address is taken */
  publish(tenantId: string, publication: Publication): Promise<void>
  /** @returns false where there is no such publication */
  unpublish(tenantId: string, kind: Publication['kind'], address: string): Promise<boolean>
  /** By kind and address. */
  listPublications(tenantId: string): Promise<readonly Publication[]>

  /** Names in order. */
  listSites(tenantId: string): Promise<readonly string[]>
  counts(tenantId: string, now: number): Promise<StoreCounts>
}
