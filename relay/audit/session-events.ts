import type { ErrorCode } from '../../shared/errors.ts'
import type { Subject } from '../../shared/identity/subject.ts'
import type { Principal } from '../authority/identify.ts'
import { type AuditEvent, RELAY_CHAIN } from './record.ts'

/** A session that began or ended. */
export interface SessionFacts {
  readonly name: string
  readonly principal: Principal
  readonly sourceAddress: string
  readonly product: string
}

/** An agent or connector has come in, or has left with `outcome`. Its session's name stands in for a trace. */
export function sessionEvent(
  action: 'session.open' | 'session.close',
  { name, principal, sourceAddress, product }: SessionFacts,
  outcome: ErrorCode,
): AuditEvent {
  const { kind, tenantId, environment, id } = principal
  return {
    action,
    tenantId,
    environment,
    actor: { kind, id },
    source: sourceAddress,
    object: principal.kind === 'agent' ? principal.site : principal.name,
    outcome,
    traceId: name,
    detail: product,
  }
}

/**
 * Somebody was not let in. `subject` is whom a certificate of this relay's CA names; who showed none belongs to no
 * tenant.
 */
export function refusalEvent(
  subject: Subject | undefined,
  refusal: { readonly outcome: ErrorCode; readonly detail: string },
  request: { readonly source: string; readonly object: string; readonly traceId: string },
): AuditEvent {
  return {
    ...refusal,
    ...request,
    action: 'session.refuse',
    tenantId: subject?.tenantId ?? RELAY_CHAIN,
    actor: subject === undefined ? { kind: 'nobody', id: '' } : { kind: subject.kind, id: subject.id },
  }
}
