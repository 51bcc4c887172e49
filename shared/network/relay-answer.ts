import * as v from 'valibot'
import { ERRORS, type ErrorCode, TunnelError } from '../errors.ts'
import { formatRelayAddress, type RelayAddress } from '../identity/relay-address.ts'
import { fromJson } from '../json.ts'
import type { Answer } from './relay-exchange.ts'

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
 * What a relay answered, checked.
 *
 * @throws {TunnelError} the code of the relay's problem document; PROTOCOL where the answer is not understood
 */
export function readAnswer<T extends v.GenericSchema>(
  { status, text }: Answer,
  schema: T,
  asked: { readonly address: RelayAddress; readonly path: string },
): v.InferOutput<T> {
  if (status === 200) {
    const parsed = fromJson(text, schema)
    if (parsed.success) return parsed.output
    throw notUnderstood(asked, status)
  }
  const problem = fromJson(text, problemSchema)
  if (!problem.success) throw notUnderstood(asked, status)
  // It is printed on a terminal: nothing but plain text.
  throw new TunnelError(problem.output.code, problem.output.detail.replaceAll(/[^ -~]/g, '?'))
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
