import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { holds, sees } from '../access/authorize.ts'
import type { AuditActor } from '../audit/record.ts'
import type { Relay } from '../relay.ts'
import type { Caller, Operation } from './operation.ts'

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

/**
 * Checks the input, then whether the caller may, and runs the operation. Every channel to the relay ends here.
 * @throws {TunnelError} USAGE naming the member of the input; NOT_FOUND for what the caller may not know of; FORBIDDEN;
 * LOGIN_AGAIN; and whatever the operation refuses with
 */
export async function runOperation<Input, Output extends object>(
  operation: Operation<Input, Output>,
  asking: Asking,
  params: unknown,
): Promise<Output> {
  const { relay, caller, source, traceId, signal } = asking
  const parsed = v.safeParse(operation.input, params, { abortEarly: true })
  if (!parsed.success) {
    throw new TunnelError('USAGE', `${v.getDotPath(parsed.issues[0]) ?? 'The request'} is not right.`)
  }
  const { effects } = relay.authority
  const place = operation.place(parsed.output)
  if (!holds(caller, operation.right, place)) {
    throw new TunnelError(place !== undefined && sees(caller, place) ? 'FORBIDDEN' : 'NOT_FOUND')
  }
  const at = effects.date()
  if (
    operation.isDangerous === true &&
    caller.kind === 'person' &&
    at - caller.authenticatedAt > RECENT_LOGIN_MS
  ) {
    throw new TunnelError('LOGIN_AGAIN')
  }
  return operation.run(
    { relay, caller, signal, act: { actor: actorOf(caller), source, traceId, at } },
    parsed.output,
  )
}

function actorOf(caller: Caller): AuditActor {
  return caller.kind === 'operator' ? { kind: 'operator', id: '' } : { kind: caller.kind, id: caller.id }
}
