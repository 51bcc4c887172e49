import type { Act, AuditActor } from '../audit/record.ts'
import type { Assignment } from '../operations/operation.ts'

/** Roles that support may have: none of them gives rights to anybody, so it cannot extend itself. */
export const SUPPORT_ROLES = ['operator', 'auditor', 'developer'] as const

/** A person who helps for a while. */
export interface NewSupport {
  readonly id: string
  readonly personId: string
  readonly role: (typeof SUPPORT_ROLES)[number]
  readonly environment: string | undefined
  readonly site: string | undefined
  readonly reason: string
  /** Ms since 1970, the end not included. */
  readonly beginsAt: number
  readonly endsAt: number
}

export interface SupportRecord extends NewSupport {
  readonly giver: Pick<AuditActor, 'kind' | 'id'>
  readonly createdAt: number
  /** To the minute. */
  readonly usedAt: number | undefined
  readonly revokedAt: number | undefined
}

/** A role that counts now because of a support access. */
export interface ActiveSupport extends Assignment {
  readonly id: string
  readonly usedAt: number | undefined
}

export interface SupportStore {
  /** Forgets what was over a year ago. @throws {TunnelError} NOT_FOUND where there is no such person */
  addSupport(tenantId: string, support: NewSupport, act: Act): Promise<void>
  /** @returns false where there is none, or it was revoked before */
  revokeSupport(tenantId: string, id: string, act: Act): Promise<boolean>
  /** The newest first. At most 10,000. */
  listSupport(tenantId: string): Promise<readonly SupportRecord[]>
  /** What counts for a person at `now`. */
  activeSupport(tenantId: string, personId: string, now: number): Promise<readonly ActiveSupport[]>
  /** Notes that it was used. It is no act of anybody, and has no record. */
  noteSupportUse(tenantId: string, id: string, now: number): Promise<void>
}
