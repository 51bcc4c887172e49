import type { Act } from '../audit/record.ts'
import type { Assignment } from '../operations/operation.ts'

/** An identity provider as it is kept. */
export interface ProviderRecord {
  readonly name: string
  readonly kind: 'oidc' | 'saml'
  /** JSON, checked by who writes it (relay/sso/provider.ts); holds no secret. */
  readonly settings: string
  /** 1, then one more with each change. */
  readonly revision: number
  readonly createdAt: number
}

/** Somebody whom an identity provider has vouched for. */
export interface FederatedSignIn {
  readonly provider: string
  /** What the provider calls the person, for good: `sub`, or the NameID. */
  readonly subject: string
  /** Login name of a person that is new; also by which an invited person is found. */
  readonly login: string
  /** For a person that is new. */
  readonly newPersonId: string
  /** Only people that were added before and have no password get in. */
  readonly mustBeInvited: boolean
  /** Roles that the provider gives, in the place of those that it gave before. */
  readonly assignments: readonly Assignment[]
  /** Which rules gave them, for the audit. */
  readonly detail: string
}

/** What became of it. `taken`: the login name is that of a person who comes by another way. */
export type FederatedPerson =
  | { readonly kind: 'known' | 'new' | 'invited'; readonly personId: string }
  | { readonly kind: 'uninvited' | 'taken' }

/** A session of ours, and what the provider calls its own. */
export interface FederatedSession {
  readonly sessionId: string
  readonly personId: string
  readonly provider: string
  readonly subject: string
  /** `sid` of OpenID Connect, SessionIndex of SAML; empty where the provider named none. */
  readonly sid: string
}

/** Identity providers, whom they know, and the sessions that began there. */
export interface SsoStore {
  /** By name, those after `after`; at most `limit`. */
  listProviders(tenantId: string, after: string, limit: number): Promise<readonly ProviderRecord[]>
  findProvider(tenantId: string, name: string): Promise<ProviderRecord | undefined>
  /** @throws {TunnelError} CONFLICT where the name is taken, NOT_FOUND where there is no such tenant, OVERLOADED beyond 50 */
  addProvider(
    tenantId: string,
    provider: Pick<ProviderRecord, 'name' | 'kind' | 'settings'>,
    act: Act,
  ): Promise<void>
  /** @returns false where there is no provider of this name and kind */
  updateProvider(
    tenantId: string,
    provider: Pick<ProviderRecord, 'name' | 'kind' | 'settings'>,
    act: Act,
  ): Promise<boolean>
  /** With the sessions that began there, and the roles that it gave. @returns false where there is no such provider */
  removeProvider(tenantId: string, name: string, act: Act): Promise<boolean>
  /**
   * Finds or adds the person whom a provider vouches for, and gives it the roles of now. Where they are others than
   * before, the person's sessions end.
   * @throws {TunnelError} NOT_FOUND where there is no such provider
   */
  signInFederated(tenantId: string, signIn: FederatedSignIn, act: Act): Promise<FederatedPerson>
  /** Notes where a session began. A part of the login, without a record of its own. */
  addFederatedSession(tenantId: string, session: FederatedSession): Promise<void>
  /** What the providers have given to whom now: such roles are no decision of anybody here. */
  listFederatedRoles(
    tenantId: string,
  ): Promise<readonly { readonly personId: string; readonly assignments: readonly Assignment[] }[]>
  findFederatedSession(tenantId: string, sessionId: string): Promise<FederatedSession | undefined>
  /**
   * Ends the sessions that the provider names: by its own session, by its subject, or by both. @returns how many
   */
  endFederatedSessions(
    tenantId: string,
    provider: string,
    named: { readonly subject?: string | undefined; readonly sid?: string | undefined },
    act: Act,
  ): Promise<number>
}
