import { type IncomingMessage, request } from 'node:http'
import * as v from 'valibot'
import { ERRORS, type ErrorCode, TunnelError } from '../shared/errors.ts'
import { ENROLLMENT_BODY_MAX_BYTES } from '../shared/identity/enrollment-messages.ts'
import { formatRelayAddress, type RelayAddress } from '../shared/identity/relay-address.ts'
import { type ClientIdentity, type RelayTrust, relayConnectError } from '../shared/identity/relay-tls.ts'
import { DIRECT_NETWORK, type Network } from '../shared/network/network.ts'
import { secureToRelay } from '../shared/network/secure.ts'

export interface RelayRequest<T extends v.GenericSchema> {
  /** How to get there; directly unless told otherwise. */
  readonly network?: Network
  readonly address: RelayAddress
  readonly trust: RelayTrust
  /** Needed by every route but the one for enrolment. */
  readonly client?: ClientIdentity
  readonly path: string
  /** Sent as JSON. */
  readonly body: object
  /** What the answer must look like. */
  readonly answer: T
  /** Also carries the deadline. */
  readonly signal: AbortSignal
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
 * Sends one request to a relay over a connection of its own, TLS 1.3, relay verified, no redirect followed.
 *
 * @throws {TunnelError} the code of the relay's problem document; RELAY_IDENTITY, RELAY_UNREACHABLE; PROTOCOL where
 * the answer is not understood
 */
export async function postToRelay<T extends v.GenericSchema>(
  options: RelayRequest<T>,
): Promise<v.InferOutput<T>> {
  let answer: Answer
  try {
    answer = await exchange(options)
  } catch (err) {
    throw relayConnectError(options.signal.aborted ? options.signal.reason : err, options.address)
  }
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

interface Answer {
  readonly status: number
  readonly text: string
}

async function exchange<T extends v.GenericSchema>(options: RelayRequest<T>): Promise<Answer> {
  const { network = DIRECT_NETWORK, address, trust, client, signal } = options
  const secure = { network, address, trust, signal, ...(client === undefined ? {} : { client }) }
  const { socket } = await secureToRelay(secure)
  const body = JSON.stringify(options.body)
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const outgoing = request({
    // A connection of its own: none that was opened with another identity may serve it.
    createConnection: () => socket,
    host: address.host,
    port: address.port,
    path: options.path,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    signal,
  })
  outgoing.on('error', reject).on('response', resolve).end(body)
  const incoming = await promise
  try {
    return { status: incoming.statusCode ?? 0, text: await readLimited(incoming) }
  } finally {
    outgoing.destroy()
  }
}

async function readLimited(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > ENROLLMENT_BODY_MAX_BYTES) throw new TunnelError('PROTOCOL', 'The answer is too long.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
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
