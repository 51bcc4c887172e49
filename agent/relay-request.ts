import * as v from 'valibot'
import { ERRORS, type ErrorCode, TunnelError } from '../shared/errors.ts'
import type { ENROLL_PATH, RENEW_PATH } from '../shared/identity/enrollment-messages.ts'
import { formatRelayAddress, type RelayAddress } from '../shared/identity/relay-address.ts'
import { exchange, type RelayRoad } from './relay-exchange.ts'
import { sealedExchange } from './sealed-exchange.ts'

export interface RelayRequest<T extends v.GenericSchema> extends RelayRoad {
  readonly path: typeof ENROLL_PATH | typeof RENEW_PATH
  /** Sent as JSON. */
  readonly body: object
  /** What the answer must look like. */
  readonly answer: T
}

/** The part of a problem document (RFC 9457) that is understood; `code` is ours. */
const problemSchema = v.object({
  code: v.pipe(
    v.string(),
    v.check((code) => Object.hasOwn(ERRORS, code)),
    v.transform((code) => code as ErrorCode),
  ),
  detail: v.optional(v.pipe(v.string(), v.maxLength(1000)), ''),
})

/**
 * Sends one request to a relay that TLS proved to be the one, or sealed for it where an inspector that the site accepted
 * stands in between.
 *
 * @throws {TunnelError} the code of the relay's problem document; RELAY_IDENTITY, RELAY_UNREACHABLE, of `Network.reach`;
 * PROTOCOL where the answer is not understood
 */
export async function postToRelay<T extends v.GenericSchema>(
  options: RelayRequest<T>,
): Promise<v.InferOutput<T>> {
  const { path } = options
  const body = JSON.stringify(options.body)
  const seen = await exchange(options, { method: 'POST', path, body, mayBeInspected: false })
  const answer = seen ?? (await sealedExchange(options, path, body))
  const content = readJson(answer.text)
  if (answer.status === 200) {
    const parsed = v.safeParse(options.answer, content, { abortEarly: true })
    if (parsed.success) return parsed.output
    throw notUnderstood(options, answer.status)
  }
  const problem = v.safeParse(problemSchema, content, { abortEarly: true })
  if (!problem.success) throw notUnderstood(options, answer.status)
  // It is printed on a terminal: nothing but plain text.
  throw new TunnelError(problem.output.code, problem.output.detail.replaceAll(/[^ -~]/g, '?'))
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // What is no JSON fits no schema either, and is reported there.
    return undefined
  }
}

function notUnderstood(
  { address, path }: { address: RelayAddress; path: string },
  status: number,
): TunnelError {
  return new TunnelError(
    'PROTOCOL',
    `${formatRelayAddress(address)} answered ${path} with status ${status} in a form that is not understood.`,
  )
}

/**
 * Tries the addresses of a relay in order until one can be reached.
 *
 * @throws what `attempt` threw: at once where it is not RELAY_UNREACHABLE, else that of the last address
 */
export async function firstReachable<T>(
  addresses: readonly RelayAddress[],
  attempt: (address: RelayAddress) => Promise<T>,
): Promise<T> {
  let failure: unknown = new TunnelError('RELAY_UNREACHABLE', 'No address is known.')
  for (const address of addresses) {
    try {
      return await attempt(address)
    } catch (err) {
      if (!(err instanceof TunnelError) || err.code !== 'RELAY_UNREACHABLE') throw err
      failure = err
    }
  }
  throw failure
}
