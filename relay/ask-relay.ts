import * as v from 'valibot'
import type { Output } from '../shared/cli/output.ts'
import { callRemote, streamRemote } from '../shared/cli/remote-call.ts'
import { loginDirectory, parseRelayUrl, type RemoteLogin, readLogin } from '../shared/cli/remote-login.ts'
import { type CallOptions, callControl } from '../shared/control/call.ts'
import { controlPath } from '../shared/control/path.ts'
import { TunnelError } from '../shared/errors.ts'
import type { Operation } from './operations/operation.ts'
import { remoteRequest } from './remote-request.ts'

/** What every command that asks the running relay has. */
export interface CommandContext {
  /** Data directory of the relay. */
  readonly data: string
  /** `https://HOST[:PORT]` of another relay, which is asked over its API in the place of the one on this machine. */
  readonly relay?: string | undefined
  readonly signal: AbortSignal
  readonly output: Output
}

/** What of an operation a command needs to ask for it. */
export type Asked<Answer extends object> = Pick<
  Operation<unknown, Answer>,
  'name' | 'http' | 'input' | 'output'
>

/**
 * Asks a relay for an operation, and checks the form of what it answers: the one on this machine over its control channel, or
 * the one that `--relay` names over its API, with the login that is stored here.
 * @throws {TunnelError} NOT_RUNNING, PROTOCOL, LOGIN, RELAY_UNREACHABLE, RELAY_IDENTITY, and what the relay refuses with
 */
export async function askRelay<Answer extends object>(
  context: CommandContext,
  operation: Asked<Answer>,
  params: object,
  options: Pick<CallOptions, 'timeoutMs'> = {},
): Promise<Answer> {
  const { data, relay, signal } = context
  if (relay !== undefined) return askOther({ relay, signal }, operation, params, options)
  return answerOf(
    operation,
    await callControl(controlPath(data), operation.name, params, { signal, ...options }),
  )
}

/** What says which relay is asked over its API. */
interface Other {
  readonly relay: string
  readonly signal: AbortSignal
}

/** {@link askRelay}, for what asks over the API only. */
export async function askOther<Answer extends object>(
  { relay, signal }: Other,
  operation: Asked<Answer>,
  params: object,
  options: Pick<CallOptions, 'timeoutMs'> = {},
): Promise<Answer> {
  const request = remoteRequest(operation, params)
  return answerOf(operation, await callRemote(await loginAt(relay), request, { signal, ...options }))
}

function answerOf<Answer extends object>({ output }: Asked<Answer>, result: unknown): Answer {
  const parsed = v.safeParse(output, result)
  if (!parsed.success)
    throw new TunnelError('PROTOCOL', 'The relay answered in a form that this command does not know.')
  return parsed.output
}

/**
 * Asks the relay that `--relay` names for what it answers by a stream.
 * @throws {TunnelError} LOGIN, RELAY_UNREACHABLE, RELAY_IDENTITY, and what the relay refuses with
 */
export async function* streamRelay(
  { relay, signal }: Other,
  route: Pick<Operation, 'http' | 'input'>,
  params: object,
): AsyncGenerator<Buffer, void> {
  yield* streamRemote(await loginAt(relay), remoteRequest(route, params), signal)
}

/** @throws {TunnelError} USAGE, LOGIN, PERMISSIONS */
function loginAt(relay: string): Promise<RemoteLogin> {
  return readLogin(loginDirectory(process.env), parseRelayUrl(relay))
}
