import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { holds, sees } from '../access/authorize.ts'
import type { AuditActor } from '../audit/record.ts'
import type { Relay } from '../relay.ts'
import type { Caller, Operation, OperationContext, Place } from './operation.ts'

/** How recent a login has to be for an operation that is dangerous, in ms. */
const RECENT_LOGIN_MS = 5 * 60_000

export interface Asking {
  readonly relay: Relay
  readonly caller: Caller
  /** Address of whoever asks; `local` on the relay's own machine. */
  readonly source: string
  /** 32 hexadecimal digits. */
  readonly traceId: string
  readonly signal: AbortSignal
}

/** What of an operation says who may. */
export type Guarded<Input> = Pick<Operation<Input>, 'right' | 'isDangerous' | 'input' | 'place'>

/**
 * Checks the input, then whether the caller may, and runs the operation. Every channel to the relay ends here.
 * @throws {TunnelError} as {@link admit}, and whatever the operation refuses with
 */
export async function runOperation<Input, Output extends object>(
  operation: Operation<Input, Output>,
  asking: Asking,
  params: unknown,
): Promise<Output> {
  const { context, input } = await admit(operation, asking, params)
  return operation.run(context, input)
}

/**
 * Checks the input, then whether the caller may.
 * @throws {TunnelError} INPUT naming the member of the input; NOT_FOUND for what the caller may not know of; FORBIDDEN;
 * LOGIN_AGAIN
 */
export async function admit<Input>(
  guarded: Guarded<Input>,
  asking: Asking,
  params: unknown,
): Promise<{ readonly context: OperationContext; readonly input: Input }> {
  const { relay, caller, source, traceId, signal } = asking
  const input = parseInput(guarded.input, params)
  const { effects } = relay.authority
  const place = guarded.place(input)
  if (!holds(caller, guarded.right, place, await needsMark(relay, caller, place))) {
    throw new TunnelError(place !== undefined && sees(caller, place) ? 'FORBIDDEN' : 'NOT_FOUND')
  }
  const at = effects.date()
  if (
    guarded.isDangerous === true &&
    caller.kind === 'person' &&
    at - caller.authenticatedAt > RECENT_LOGIN_MS
  ) {
    throw new TunnelError('LOGIN_AGAIN')
  }
  return { context: { relay, caller, signal, act: { actor: actorOf(caller), source, traceId, at } }, input }
}

/**
 * What comes from outside, checked.
 * @throws {TunnelError} INPUT with the member and the rule that it breaks. What was sent is not repeated: it may be a secret
 */
export function parseInput<Input>(schema: v.GenericSchema<unknown, Input>, params: unknown): Input {
  const parsed = v.safeParse(schema, params, { abortEarly: true })
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  const field = v.getDotPath(issue) ?? ''
  const rule = issue.expected === null ? issue.type : `${issue.type} ${issue.expected}`
  throw new TunnelError('INPUT', `${field === '' ? 'The whole' : field} breaks the rule: ${rule}.`, {
    field,
    rule,
  })
}

/** Whether the place takes an assignment that is marked for programs. Only they wait for the look-up, and only at home. */
async function needsMark({ authority }: Relay, caller: Caller, place: Place | undefined): Promise<boolean> {
  if (caller.kind === 'operator' || caller.via === 'session') return false
  if (place?.tenantId !== caller.tenantId) return false
  const environments = await authority.store.listEnvironments(caller.tenantId)
  return environments.some(
    ({ name, isProduction }) =>
      isProduction && (place.environment === undefined || place.environment === name),
  )
}

function actorOf(caller: Caller): AuditActor {
  return caller.kind === 'operator' ? { kind: 'operator', id: '' } : { kind: caller.kind, id: caller.id }
}
