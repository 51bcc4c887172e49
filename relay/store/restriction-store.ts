import type { Act } from '../audit/record.ts'

/**
 * What may be restricted: streams of a connector and its sessions, streams to a resource, what comes through a publication,
 * logins to the tenant, logins of one person.
 */
export const RESTRICTION_KINDS = ['connector', 'resource', 'publication', 'logins', 'person'] as const

export interface RestrictionTarget {
  readonly kind: (typeof RESTRICTION_KINDS)[number]
  /** Empty for logins and persons. */
  readonly environment: string
  /** Name, SITE/RESOURCE, address of the publication, id of the person; empty for the logins. */
  readonly target: string
}

export interface StoredRestriction {
  readonly name: string
  /** Canonical texts. */
  readonly ranges: readonly string[]
  /** PEM of one certificate. */
  readonly ca?: string | undefined
}

export interface RestrictionStore {
  /** Adds it, or puts it in the place of the one of that name. @throws {TunnelError} NOT_FOUND where there is no such tenant */
  putRestriction(tenantId: string, restriction: StoredRestriction, act: Act): Promise<void>
  /** @returns false where there is none @throws {TunnelError} CONFLICT where it is attached to something */
  removeRestriction(tenantId: string, name: string, act: Act): Promise<boolean>
  /** By name, each with what it is attached to. At most 10,000 attachments. */
  listRestrictions(
    tenantId: string,
  ): Promise<readonly (StoredRestriction & { readonly targets: readonly RestrictionTarget[] })[]>
  /** Attaches it; nothing changes where it is. @throws {TunnelError} NOT_FOUND where there is no such restriction */
  attachRestriction(tenantId: string, name: string, target: RestrictionTarget, act: Act): Promise<void>
  /** @returns false where it was not attached there */
  detachRestriction(tenantId: string, name: string, target: RestrictionTarget, act: Act): Promise<boolean>
}
