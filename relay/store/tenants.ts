import type { Act, AuditEvent } from '../audit/record.ts'
import type { TenantRemoval } from './tenant-removal.ts'

export interface TenantRecord {
  readonly id: string
  /** Milliseconds since 1970; 0 for the tenant that a store begins with. */
  readonly createdAt: number
}

export interface EnvironmentRecord {
  readonly name: string
  /** What is asked of production is asked here. */
  readonly isProduction: boolean
}

/** The environments that a tenant begins with. */
export const FIRST_ENVIRONMENTS: readonly EnvironmentRecord[] = [
  { name: 'development', isProduction: false },
  { name: 'production', isProduction: true },
  { name: 'test', isProduction: false },
]

/** What concerns all tenants: nobody but the relay itself and its operator asks for it. */
export interface RelayWideStore {
  /** By id. */
  listTenants(): Promise<readonly TenantRecord[]>
  /** Adds a tenant with {@link FIRST_ENVIRONMENTS}. @throws {TunnelError} CONFLICT where it exists */
  addTenant(id: string, act: Act): Promise<void>
  /** Removes a tenant with everything of it. @returns undefined where there is no such tenant */
  removeTenant(id: string, act: Act): Promise<TenantRemoval | undefined>
  /** Whose join token this is, whether it can still be spent or not. Who asks has shown the token. */
  tenantOfJoinToken(tokenHash: Uint8Array): Promise<string | undefined>
  /** True where a key of any tenant was wrapped. */
  hasTenantKeys(): Promise<boolean>
  /**
   * Writes the events into their chains, all or none of them, in one transaction. Those of a tenant that has been removed
   * are left out.
   */
  appendAudit(events: readonly TimedEvent[]): Promise<void>
}

/** An event, and when it was: milliseconds since 1970. */
export interface TimedEvent {
  readonly event: AuditEvent
  readonly time: number
}
