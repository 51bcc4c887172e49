import type { ReplyStore } from '../api/replies.ts'
import type { Act } from '../audit/record.ts'
import type { AuditStore } from '../audit/store.ts'
import type { FreezeStore, GrantStore } from './access-store.ts'
import type { DeliveryStore } from './delivery-queries.ts'
import type { MachineStore } from './machine-queries.ts'
import type { PeopleStore } from './people-store.ts'
import type { RestrictionStore } from './restriction-store.ts'
import type { SecretStore } from './secret-queries.ts'
import type { SsoStore } from './sso-store.ts'
import type { SupportStore } from './support-store.ts'
import type { EnvironmentRecord, RelayWideStore } from './tenants.ts'

/**
 * What the relay remembers, as an interface, so that SQLite on one machine and a PostgreSQL for several are exchanged
 * in one place. Rules for every implementation:
 * - `tenantId` comes first, and a row of another tenant looks exactly like one that does not exist. What is not of one
 *   tenant stands apart, in {@link Store.relay}.
 * - Names of sites and connectors are unique within an environment; nothing reaches from one environment into another.
 * - What changes something takes an {@link Act} and writes the record of it in the same transaction.
 * - What resolves is committed: it survives a power cut.
 * - Times are milliseconds since 1970 and come from the caller.
 * - A failure of the storage itself is a TunnelError STORE, and nothing was changed.
 */
export interface Store
  extends EnvironmentStore,
    AgentStore,
    ConnectorStore,
    GrantStore,
    FreezeStore,
    RestrictionStore,
    SupportStore,
    MachineStore,
    PublicationStore,
    AuditStore,
    DeliveryStore,
    PeopleStore,
    SsoStore,
    SecretStore,
    ReplyStore,
    AsyncDisposable {
  /** What concerns all tenants. Nothing that one tenant's people may ask for goes through here. */
  readonly relay: RelayWideStore
  /**
   * Runs `work` with functions of the store that all belong to one transaction: what it changes is there with all records, or
   * nothing is. Every other change waits meanwhile: `work` awaits nothing but these functions and what is at hand, and
   * changes nothing by the store itself, which would wait for ever. Look-ups of others see what was before.
   *
   * @param hasSecrets whether `work` may put secrets: their key is made before
   * @throws {TunnelError} what `work` throws; CONFLICT where the tenant's key was replaced meanwhile
   */
  together<T>(tenantId: string, hasSecrets: boolean, work: (store: StoreTogether) => Promise<T>): Promise<T>
}

/** What {@link Store.together} gives. */
export type StoreTogether = Omit<Store, 'relay' | 'together' | typeof Symbol.asyncDispose>

/** The tenant that the commands use where none is named. */
export const DEFAULT_TENANT = 'default'

/** The environment that the commands use where none is named. */
export const DEFAULT_ENVIRONMENT = 'production'

/** Longest list in one answer. */
export const LIST_MAX = 10_000

/** Which site: its name is unique within an environment of a tenant. */
export interface SitePlace {
  readonly tenantId: string
  readonly environment: string
  readonly site: string
}

export interface NewJoinToken {
  /** SHA-256 of the token, 32 bytes; the token itself is never stored. */
  readonly tokenHash: Uint8Array
  readonly environment: string
  readonly site: string
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
  readonly environment: string
  readonly site: string
  /** Accepted until the current certificate is used for the first time, since the answer with it may be lost. */
  readonly previousSerial: string | undefined
  /** 1 after enrolment, one more with each renewal. */
  readonly generation: number
  readonly renewedAt: number
  readonly revokedAt: number | undefined
}

/** A resource by its name. The environment is that of who was granted it, or of the publication. */
export interface Grant {
  readonly site: string
  readonly resource: string
}

export interface NewConnector extends IssuedCertificate {
  readonly id: string
  readonly environment: string
  readonly name: string
  readonly createdAt: number
  /** SHA-256 of its client secret, 32 bytes: it comes by tokens, and {@link NO_CERTIFICATE} stands for its certificate. */
  readonly secretHash?: Uint8Array | undefined
}

/** In the place of a certificate: no serial is empty, so none is ever taken for it. */
export const NO_CERTIFICATE: IssuedCertificate = { serial: '', fingerprint: '', notAfter: 0 }

export interface ConnectorRecord extends NewConnector {
  /** Accepted until the current certificate is used for the first time, since the answer with it may be lost. */
  readonly previousSerial: string | undefined
  /** 1 at first, one more with each renewal. */
  readonly generation: number
  readonly revokedAt: number | undefined
}

/**
 * A resource that the relay offers by itself: on a TCP address, under an HTTP host name, or under a name that TLS asks
 * for (SNI), with TLS passed through.
 */
export interface Publication extends Grant {
  readonly environment: string
  readonly kind: 'tcp' | 'host' | 'sni'
  /** `host:port` to listen on, or the name in lower case; taken once in the whole relay, a name by one kind. */
  readonly address: string
}

export interface SiteRecord {
  readonly environment: string
  readonly name: string
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

export interface EnvironmentStore {
  /** By name. Empty for a tenant that does not exist. */
  listEnvironments(tenantId: string): Promise<readonly EnvironmentRecord[]>
  /** @throws {TunnelError} CONFLICT where it exists, NOT_FOUND where the tenant does not */
  addEnvironment(tenantId: string, name: string, isProduction: boolean, act: Act): Promise<void>
  /**
   * Removes an environment with nothing in it. @returns false where there is no such environment
   * @throws {TunnelError} CONFLICT where something is left in it, revoked identities too
   */
  removeEnvironment(tenantId: string, name: string, act: Act): Promise<boolean>
  /** By environment and name. At most 10,000. */
  listSites(tenantId: string, environment?: string): Promise<readonly SiteRecord[]>
  counts(tenantId: string, now: number): Promise<StoreCounts>
}

export interface AgentStore {
  /**
   * Adds the token, and its site where that is new. Forgets tokens that expired a week ago.
   * @throws {TunnelError} NOT_FOUND where there is no such environment
   */
  createJoinToken(tenantId: string, token: NewJoinToken, act: Act): Promise<void>
  /** True where the token could be spent now; only spending it decides. */
  isJoinTokenOpen(tenantId: string, tokenHash: Uint8Array, now: number): Promise<boolean>
  /**
   * Spends the token and adds the agent to the token's site, both or neither.
   *
   * @returns the site
   * @throws {TunnelError} JOIN_TOKEN where the token is unknown, spent or expired
   */
  enrollAgent(tenantId: string, tokenHash: Uint8Array, agent: NewAgent, act: Act): Promise<string>
  findAgent(tenantId: string, id: string): Promise<AgentRecord | undefined>
  /** By environment, site and age. At most 10,000. */
  listAgents(
    tenantId: string,
    where?: { readonly environment?: string | undefined; readonly site?: string | undefined },
  ): Promise<readonly AgentRecord[]>
  /**
   * Notes that the current certificate was used: from now on the previous one is refused. It is no act of anybody, and
   * has no record.
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
    next: IssuedCertificate,
    act: Act,
  ): Promise<number | undefined>
  /** @returns false where there is no such agent or it was revoked before */
  revokeAgent(tenantId: string, id: string, act: Act): Promise<boolean>
}

export interface ConnectorStore {
  /**
   * @throws {TunnelError} CONFLICT where a connector that is not revoked has the name; NOT_FOUND where there is no such
   * environment
   */
  addConnector(tenantId: string, connector: NewConnector, grants: readonly Grant[], act: Act): Promise<void>
  findConnector(tenantId: string, id: string): Promise<ConnectorRecord | undefined>
  /** As {@link AgentStore.confirmAgentCertificate}. */
  confirmConnectorCertificate(tenantId: string, id: string, serial: string): Promise<boolean>
  /** As {@link AgentStore.renewAgent}. */
  renewConnector(
    tenantId: string,
    id: string,
    presentedSerial: string,
    next: IssuedCertificate,
    act: Act,
  ): Promise<number | undefined>
  /** The connector of this name that is not revoked. */
  findConnectorByName(
    tenantId: string,
    environment: string,
    name: string,
  ): Promise<ConnectorRecord | undefined>
  /** By environment and name; revoked ones too. At most 10,000. */
  listConnectors(tenantId: string, environment?: string): Promise<readonly ConnectorRecord[]>
  /** @returns false where there is no such connector or it was revoked before */
  revokeConnector(tenantId: string, id: string, act: Act): Promise<boolean>
}

export interface PublicationStore {
  /**
   * @throws {TunnelError} CONFLICT where the address is taken, by whatever tenant; NOT_FOUND where there is no such
   * environment
   */
  publish(tenantId: string, publication: Publication, act: Act): Promise<void>
  /** @returns false where there is no such publication */
  unpublish(tenantId: string, kind: Publication['kind'], address: string, act: Act): Promise<boolean>
  /** By kind and address. */
  listPublications(tenantId: string, environment?: string): Promise<readonly Publication[]>
}
