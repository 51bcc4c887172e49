import type { TunnelError } from '../../shared/errors.ts'
import { type Audit, RELAY_CHAIN } from '../audit/record.ts'
import type { ApiCaller, RequestOrigin } from './caller.ts'
import type { ApiRoute } from './routes.ts'

export interface ApiRefusal {
  readonly route?: ApiRoute
  readonly caller?: ApiCaller
  readonly origin: RequestOrigin
  readonly error: TunnelError
  readonly method: string
}

/** Refusals that tell of somebody who tries what is not his, even by reading. */
const ALWAYS: ReadonlySet<string> = new Set(['LOGIN', 'LOGIN_AGAIN', 'FORBIDDEN', 'FOREIGN_ORIGIN'])

/** What is no attempt on anything: no such path, a fault in the spelling of HTTP, or who left. */
const NEVER: ReadonlySet<string> = new Set([
  'CANCELLED',
  'HTTP_METHOD',
  'HTTP_MEDIA_TYPE',
  'HTTP_BAD_REQUEST',
  'ENHANCE_CALM',
])

/** Writes into the chain what was refused: to a known caller in its tenant's, to nobody in the relay's own. */
export function noteRefusal(audit: Audit, refusal: ApiRefusal): void {
  const { route, caller, origin, error, method } = refusal
  // Open routes tell of their own refusals: they know whom they concern.
  if (route === undefined || route.kind === 'open' || route.kind === 'description') return
  const isChange = method !== 'GET' && method !== 'HEAD'
  if (NEVER.has(error.code) || !(isChange || ALWAYS.has(error.code))) return
  const actor =
    caller === undefined ? ({ kind: 'nobody', id: '' } as const) : { kind: caller.kind, id: caller.id }
  audit({
    tenantId: caller?.tenantId ?? RELAY_CHAIN,
    actor,
    source: origin.source,
    traceId: origin.traceId,
    action: 'operation.refuse',
    object: route.definition.name,
    outcome: error.code,
    detail: error.detail,
  })
}
