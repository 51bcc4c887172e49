import type { ErrorCode, TunnelError } from '../../shared/errors.ts'
import { type Audit, RELAY_CHAIN } from '../audit/record.ts'
import { actorOf } from '../operations/run.ts'
import type { ApiCaller, RequestOrigin } from './caller.ts'
import type { ApiRoute } from './routes.ts'

export interface EarlyRefusal {
  readonly route: ApiRoute
  /** Undefined where nobody is known yet. */
  readonly caller: ApiCaller | undefined
  readonly origin: RequestOrigin
  readonly error: TunnelError
}

/** What tells of somebody who tries what is not his. */
const TOLD: ReadonlySet<ErrorCode> = new Set(['LOGIN', 'FOREIGN_ORIGIN', 'INPUT', 'HTTP_BODY_TOO_LARGE'])

/**
 * Notes what was refused before an operation was asked for, which notes its own: a token that does not hold, a page of
 * another site, a body with no form. In the tenant's chain of a known caller, in the relay's own for nobody.
 */
export function noteEarlyRefusal(audit: Audit, { route, caller, origin, error }: EarlyRefusal): void {
  if (!TOLD.has(error.code)) return
  audit({
    tenantId: caller?.tenantId ?? RELAY_CHAIN,
    actor: caller === undefined ? { kind: 'nobody', id: '' } : actorOf(caller),
    source: origin.source,
    traceId: origin.traceId,
    action: 'operation.refuse',
    object: route.definition.name,
    outcome: error.code,
    detail: error.field === undefined ? '' : `${error.field}: ${error.rule ?? ''}`,
  })
}
