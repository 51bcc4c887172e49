import * as v from 'valibot'
import type { Output } from '../shared/cli/output.ts'
import { type CallOptions, callControl } from '../shared/control/call.ts'
import { controlPath } from '../shared/control/path.ts'
import { TunnelError } from '../shared/errors.ts'
import type { Operation } from './operations/operation.ts'

/** What every command that asks the running relay has. */
export interface CommandContext {
  /** Data directory of the relay. */
  readonly data: string
  readonly signal: AbortSignal
  readonly output: Output
}

/**
 * Asks the running relay for an operation, and checks the form of what it answers.
 * @throws {TunnelError} NOT_RUNNING, PROTOCOL, and what the relay refuses with
 */
export async function askRelay<Answer extends object>(
  { data, signal }: CommandContext,
  operation: Pick<Operation<unknown, Answer>, 'name' | 'output'>,
  params: object,
  options: Pick<CallOptions, 'timeoutMs'> = {},
): Promise<Answer> {
  const result = await callControl(controlPath(data), operation.name, params, { signal, ...options })
  const parsed = v.safeParse(operation.output, result)
  if (!parsed.success)
    throw new TunnelError('PROTOCOL', 'The relay answered in a form that this command does not know.')
  return parsed.output
}
