import type { Act, AuditActor } from '../audit/record.ts'
import type { CopyResponse } from '../authority/copies.ts'
import type { GrantTerms } from '../grants/terms.ts'
import type { Grant } from './store.ts'

/** A grant as it stands. */
export interface GrantRecord extends Grant, GrantTerms {
  readonly connectorId: string
}

/** Somebody asks for a resource for a while. */
export interface NewGrantRequest extends Grant {
  readonly id: string
  readonly connectorId: string
  readonly reason: string
  /** For how long from the approval, in ms. */
  readonly durationMs: number
  /** Until when somebody may decide, in ms since 1970. */
  readonly expiresAt: number
}

export interface GrantRequest extends NewGrantRequest {
  readonly environment: string
  /** Name of the connector. */
  readonly connector: string
  readonly requester: Pick<AuditActor, 'kind' | 'id'>
  readonly createdAt: number
  /** `approved` holds until `expiresAt`; `withdrawn`: the access was taken back before. */
  readonly state: 'open' | 'approved' | 'refused' | 'withdrawn'
  readonly decider: Pick<AuditActor, 'kind' | 'id'> | undefined
}

export interface GrantStore {
  /** Replaces all grants of a connector. @throws {TunnelError} NOT_FOUND where it is unknown or revoked */
  setGrants(tenantId: string, connectorId: string, grants: readonly Grant[], act: Act): Promise<void>
  /** Adds a grant, or gives the one that there is these terms. @throws {TunnelError} NOT_FOUND as for setGrants */
  putGrant(tenantId: string, grant: GrantRecord, act: Act): Promise<void>
  /** Takes a grant back, and what was approved of the same resource. @returns false where there was neither */
  removeGrant(tenantId: string, connectorId: string, grant: Grant, act: Act): Promise<boolean>
  /** By site and resource. At most 10,000. */
  listGrants(tenantId: string, connectorId: string): Promise<readonly GrantRecord[]>
  /**
   * All that may let the connector open the resource, which is that of its own environment: its grant and what was approved.
   * Empty where the connector is revoked.
   */
  grantTerms(
    tenantId: string,
    connectorId: string,
    site: string,
    resource: string,
  ): Promise<readonly GrantTerms[]>
  /** @throws {TunnelError} NOT_FOUND where the connector is unknown or revoked */
  addGrantRequest(tenantId: string, request: NewGrantRequest, act: Act): Promise<void>
  findGrantRequest(tenantId: string, id: string): Promise<GrantRequest | undefined>
  /** The newest first. At most 10,000. */
  listGrantRequests(tenantId: string, environment: string): Promise<readonly GrantRequest[]>
  /** Approves or refuses. @returns false where the request is unknown, decided, or too old at `act.at` */
  decideGrantRequest(tenantId: string, id: string, isApproved: boolean, act: Act): Promise<boolean>
}

/** What may be frozen. */
export const FREEZE_KINDS = ['tenant', 'site', 'resource', 'connector'] as const

export interface FreezeTarget {
  readonly kind: (typeof FREEZE_KINDS)[number]
  /** Empty for the tenant. */
  readonly environment: string
  /** Of the site or connector, SITE/RESOURCE of the resource; empty for the tenant. */
  readonly name: string
}

export interface Freeze extends FreezeTarget {
  readonly reason: string
  readonly createdAt: number
}

export interface FreezeStore {
  /** Where it is frozen already only the reason changes. @throws {TunnelError} NOT_FOUND where there is no such tenant */
  addFreeze(tenantId: string, freeze: Freeze, act: Act): Promise<void>
  /** @returns false where it was not frozen */
  removeFreeze(tenantId: string, target: FreezeTarget, act: Act): Promise<boolean>
  /** By kind, environment and name. At most 10,000. */
  listFreezes(tenantId: string): Promise<readonly Freeze[]>
  /** What is done about an agent of which there are two; `alarm` where nothing else was said. */
  copyResponse(tenantId: string): Promise<CopyResponse>
  /** @throws {TunnelError} NOT_FOUND where there is no such tenant */
  setCopyResponse(tenantId: string, response: CopyResponse, act: Act): Promise<void>
}
