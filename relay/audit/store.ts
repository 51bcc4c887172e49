import type { AuditRecord } from './record.ts'

/** Most records in one page. */
export const AUDIT_PAGE_MAX = 1_000

/** Most records that one page looks at, so that a search that finds little takes no longer than one that finds much. */
export const AUDIT_SCAN_MAX = 50_000

/** What to look for; what is left out matches all. */
export interface AuditFilter {
  /** Records of this time and later, in ms since 1970. */
  readonly from?: number | undefined
  /** Records before this time, in ms since 1970. */
  readonly until?: number | undefined
  readonly environment?: string | undefined
  readonly actorKind?: string | undefined
  readonly actorId?: string | undefined
  readonly action?: string | undefined
  readonly object?: string | undefined
  readonly outcome?: string | undefined
  readonly traceId?: string | undefined
}

export interface AuditPageRequest {
  readonly filter?: AuditFilter
  /** Records after (`oldest` first) or before (`newest` first) this number; absent: from the end that comes first. */
  readonly cursor?: number | undefined
  readonly order: 'oldest' | 'newest'
  /** 1 to {@link AUDIT_PAGE_MAX}. */
  readonly limit: number
}

export interface AuditPage {
  readonly records: readonly AuditRecord[]
  /** The cursor of the next page; undefined at the end. A page may be short, or empty, and not the last. */
  readonly next: number | undefined
}

/** What a relay's key vouches for: up to this record the chain was so. */
export interface AuditCheckpoint {
  readonly tenantId: string
  readonly seq: number
  /** Milliseconds since 1970. */
  readonly time: number
  /** Of the record `seq`; 32 bytes. */
  readonly hash: Uint8Array
  /** See relay/audit/checkpoint.ts. */
  readonly signature: Uint8Array
}

/** The end of a chain. */
export interface AuditHead {
  /** 0 for an empty chain. */
  readonly seq: number
  readonly hash: Uint8Array
}

/** What the store does for the audit chains. `tenantId` may be RELAY_CHAIN. */
export interface AuditStore {
  readAudit(tenantId: string, request: AuditPageRequest): Promise<AuditPage>
  auditHead(tenantId: string): Promise<AuditHead>
  /** By number. At most 10,000 after `after`. */
  listAuditCheckpoints(tenantId: string, after: number): Promise<readonly AuditCheckpoint[]>
  addAuditCheckpoint(tenantId: string, checkpoint: AuditCheckpoint): Promise<void>
}
