import type * as v from 'valibot'
import type { ENROLL_PATH, RENEW_PATH } from '../shared/identity/enrollment-messages.ts'
import { readAnswer } from '../shared/network/relay-answer.ts'
import { exchange, type RelayRoad } from '../shared/network/relay-exchange.ts'
import { sealedExchange } from './sealed-exchange.ts'

export interface RelayRequest<T extends v.GenericSchema> extends RelayRoad {
  readonly path: typeof ENROLL_PATH | typeof RENEW_PATH
  /** Sent as JSON. */
  readonly body: object
  /** What the answer must look like. */
  readonly answer: T
}

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
  return readAnswer(answer, options.answer, options)
}
