import * as v from 'valibot'
import { brokenRule } from '../../shared/broken-rule.ts'
import { type ErrorCode, isTunnelError, TunnelError } from '../../shared/errors.ts'
import { holds, sees } from '../access/authorize.ts'
import type { Right } from '../access/rights.ts'
import { type AuditActor, RELAY_CHAIN } from '../audit/record.ts'
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
export type Guarded<Input> = Pick<
  Operation<Input>,
  'name' | 'right' | 'isDangerous' | 'isChange' | 'input' | 'place'
>

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
  try {
    return await operation.run(context, input)
  } catch (err) {
    tellRefusal(operation, asking, operation.place(input), err)
    throw err
  }
}

/**
 * Checks the input, then whether the caller may. A refusal leaves a record.
 * @throws {TunnelError} INPUT naming the member of the input; NOT_FOUND for what the caller may not know of; FORBIDDEN;
 * LOGIN_AGAIN; SECOND_FACTOR
 */
export async function admit<Input>(
  guarded: Guarded<Input>,
  asking: Asking,
  params: unknown,
): Promise<{ readonly context: OperationContext; readonly input: Input }> {
  let place: Place | undefined
  try {
    const input = parseInput(guarded.input, params)
    place = guarded.place(input)
    return { context: await contextFor(guarded, asking, place), input }
  } catch (err) {
    tellRefusal(guarded, asking, place, err)
    throw err
  }
}

async function contextFor(
  { right, isDangerous = false }: Pick<Operation, 'right' | 'isDangerous'>,
  { relay, caller, source, traceId, signal }: Asking,
  place: Place | undefined,
): Promise<OperationContext> {
  // The relay is no tenant: what may be asked about it has no place.
  if (place?.tenantId === RELAY_CHAIN) throw new TunnelError('NOT_FOUND')
  if (!(await may({ relay, caller }, right, place))) {
    if (place === undefined || !sees(caller, place)) throw new TunnelError('NOT_FOUND')
    throw new TunnelError(
      caller.kind !== 'operator' && caller.lacksSecondFactor === true ? 'SECOND_FACTOR' : 'FORBIDDEN',
    )
  }
  const at = relay.authority.effects.date()
  // A machine cannot be asked again, so what is dangerous is not for it: it could make others that outlive it.
  if (isDangerous && !hasProvedEnough(caller, at)) {
    throw new TunnelError('LOGIN_AGAIN')
  }
  return { relay, caller, signal, act: { actor: actorOf(caller), source, traceId, at } }
}

/** Whether the caller holds a right at a place, and nothing more: no record is written. */
export async function may(
  { relay, caller }: Pick<Asking, 'relay' | 'caller'>,
  right: Right,
  place: Place | undefined,
): Promise<boolean> {
  return holds(caller, right, place, await needsMark(relay, caller, place))
}

/**
 * Notes what was refused: whatever would have changed something, and who may not see what it asked for. It stands in the chain
 * of who asked, so nobody writes into the chain of a tenant by asking for it.
 */
function tellRefusal(
  { name, right, isChange = false }: Pick<Operation, 'name' | 'right' | 'isChange'>,
  { relay, caller, source, traceId }: Asking,
  place: Place | undefined,
  error: unknown,
): void {
  const outcome = isTunnelError(error) ? error.code : 'INTERNAL'
  const isOperator = caller.kind === 'operator'
  if (right.endsWith(':read') && !isChange && (isOperator || !RIGHTS_REFUSED.has(outcome))) return
  const isOwn = isOperator || place?.tenantId === caller.tenantId
  relay.trail.audit({
    tenantId: isOperator ? (place?.tenantId ?? RELAY_CHAIN) : caller.tenantId,
    environment: isOwn ? (place?.environment ?? '') : '',
    ...{ actor: actorOf(caller), source, traceId, action: 'operation.refuse', object: name, outcome },
    detail: isTunnelError(error) && error.field !== undefined ? `${error.field}: ${error.rule ?? ''}` : '',
  })
}

/** Codes that say that somebody asked for what is not his. */
const RIGHTS_REFUSED: ReadonlySet<ErrorCode> = new Set([
  'FORBIDDEN',
  'SECOND_FACTOR',
  'NOT_FOUND',
  'LOGIN_AGAIN',
  'USAGE',
])

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
  throw brokenRule(field, rule)
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

/** A token of the operator lives for hours and makes no other, so that what is dangerous may be done with it. */
function hasProvedEnough(caller: Caller, now: number): boolean {
  if (caller.kind === 'operator' || caller.kind === 'operator-token') return true
  return now - caller.authenticatedAt <= RECENT_LOGIN_MS
}

/** How a caller stands in the chains. */
export function actorOf(caller: Caller): AuditActor {
  if (caller.kind === 'operator') return { kind: 'operator', id: '' }
  return { kind: caller.kind === 'operator-token' ? 'operator' : caller.kind, id: caller.id }
}
