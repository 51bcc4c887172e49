import { boundedText, chainHash } from '../../shared/audit/chain.ts'
import type { ErrorCode } from '../../shared/errors.ts'
import type { AuditAction } from './actions.ts'

/** The chain of what belongs to no tenant. No tenant can have this name. */
export const RELAY_CHAIN = '@relay'

/** What acts. `operator`: a command on the relay's own machine. `nobody`: it proved no identity. */
export const AUDIT_ACTOR_KINDS = [
  'operator',
  'person',
  'machine',
  'agent',
  'connector',
  'relay',
  'nobody',
] as const

export type AuditActorKind = (typeof AUDIT_ACTOR_KINDS)[number]

export interface AuditActor {
  readonly kind: AuditActorKind
  /** What the relay calls it; empty where the kind says it all. */
  readonly id: string
}

/** Who causes a change, from where, and in the course of what: every function of the store that changes something takes one. */
export interface Act {
  readonly actor: AuditActor
  /** IP address; `local` for the machine of the relay. */
  readonly source: string
  /** 32 hexadecimal digits (W3C Trace Context), the same in the logs and at the site. */
  readonly traceId: string
  /** Milliseconds since 1970. */
  readonly at: number
}

/** What became of what. */
export interface Deed {
  readonly action: AuditAction
  /** See AUDIT_ACTIONS. */
  readonly object: string
  /** OK, or the code of the refusal or end. */
  readonly outcome: ErrorCode
  /** Empty where it concerns the whole tenant. */
  readonly environment?: string
  /** Never a secret. */
  readonly detail?: string
}

/** Something to be written into the chain of a tenant. */
export interface AuditEvent extends Deed {
  /** A tenant, or {@link RELAY_CHAIN}. */
  readonly tenantId: string
  readonly actor: AuditActor
  readonly source: string
  readonly traceId: string
  /** True: it may be the same again and again, as of a stream that looks for a path; then the chain has it once. */
  readonly mayRepeat?: boolean
}

/**
 * Takes an event for the chain: it is written within a second, together with others. Never throws and never waits. For
 * what happens on the way of streams; what an administrator changes is written with the change itself.
 */
export type Audit = (event: AuditEvent) => void

/** A link of the chain as it is kept. */
export interface AuditRecord {
  readonly tenantId: string
  /** 1 for the first of a chain, then one more each. */
  readonly seq: number
  /** Milliseconds since 1970. */
  readonly time: number
  readonly environment: string
  readonly actor: AuditActor
  readonly source: string
  readonly action: string
  readonly object: string
  readonly outcome: string
  readonly traceId: string
  readonly detail: string
  /** SHA-256, 32 bytes. */
  readonly hash: Uint8Array
}

/** Most UTF-16 units of each text in a record; what is longer ends in an ellipsis. */
const LIMITS = { id: 128, source: 64, object: 256, traceId: 64, detail: 512 } as const

/** Tells these bytes from everything else that is hashed or signed here. */
const DOMAIN = 'sallyport audit record 1\n'

/**
 * The next link of a chain. Texts come from outside: control characters, line separators and characters that turn the
 * direction of text are kept as visible escapes, so that no record can look like two.
 *
 * @param before the hash of the record before, or {@link CHAIN_START}
 */
export function linkRecord(
  event: AuditEvent,
  place: { readonly seq: number; readonly time: number; readonly before: Uint8Array },
): AuditRecord {
  const record = {
    tenantId: event.tenantId,
    seq: place.seq,
    time: place.time,
    environment: event.environment ?? '',
    actor: { kind: event.actor.kind, id: boundedText(event.actor.id, LIMITS.id) },
    source: boundedText(event.source, LIMITS.source),
    action: event.action,
    object: boundedText(event.object, LIMITS.object),
    outcome: event.outcome,
    traceId: boundedText(event.traceId, LIMITS.traceId),
    detail: boundedText(event.detail ?? '', LIMITS.detail),
  }
  return { ...record, hash: recordHash(record, place.before) }
}

/**
 * SHA-256 over the domain, the hash of the record before, and the record as one JSON array of texts and whole numbers in
 * fixed order, which RFC 8785 writes in the same bytes.
 */
export function recordHash(record: Omit<AuditRecord, 'hash'>, before: Uint8Array): Buffer {
  const { tenantId, seq, time, environment, actor, source, action, object, outcome, traceId, detail } = record
  const fields = [tenantId, seq, time, environment, actor.kind, actor.id, source, action, object, outcome]
  return chainHash(DOMAIN, before, [...fields, traceId, detail])
}
