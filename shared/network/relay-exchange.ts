import { type IncomingMessage, request } from 'node:http'
import { TunnelError } from '../errors.ts'
import { ENROLLMENT_BODY_MAX_BYTES } from '../identity/enrollment-messages.ts'
import { formatRelayAddress, type RelayAddress } from '../identity/relay-address.ts'
import { type ClientIdentity, type RelayTrust, relayConnectError } from '../identity/relay-tls.ts'
import { readLimited } from '../read-limited.ts'
import { DIRECT_NETWORK, type Network } from './network.ts'
import { secureToRelay } from './secure.ts'

/** Which relay, how to get there, and how the two ends know each other. */
export interface RelayRoad {
  /** Directly unless told otherwise. */
  readonly network?: Network
  readonly address: RelayAddress
  readonly trust: RelayTrust
  /** Needed by every route but those for enrolment and offers. */
  readonly client?: ClientIdentity
  /** Also carries the deadline. */
  readonly signal: AbortSignal
}

export interface ExchangeRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: string
  /** Of the body; JSON unless told otherwise. */
  readonly contentType?: string
  /** False: nothing is sent where an inspector that the site accepted stands in between, since it could read it. */
  readonly mayBeInspected: boolean
}

/** What came back, at most 32 KiB. */
export interface Answer {
  readonly status: number
  readonly text: string
}

/**
 * Sends one request to a relay over a connection of its own, relay or accepted inspector verified, no redirect followed.
 *
 * @returns undefined where an inspector stands in between and must not see the request: nothing was sent
 * @throws {TunnelError} RELAY_IDENTITY, RELAY_UNREACHABLE, of `Network.reach`; PROTOCOL where the answer is too long
 */
export async function exchange(road: RelayRoad, asked: ExchangeRequest): Promise<Answer | undefined> {
  const { network = DIRECT_NETWORK, signal, address } = road
  try {
    const { socket, inspector } = await secureToRelay({ ...road, network })
    if (inspector !== undefined && !asked.mayBeInspected) {
      socket.destroy()
      return undefined
    }
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const { method, path, body, contentType = 'application/json' } = asked
    // By its own name, whatever address was dialled: the relay has other hosts on the same port.
    const host = formatRelayAddress({ host: road.trust.serverName, port: address.port })
    const headers =
      body === undefined
        ? { host }
        : { host, 'content-type': contentType, 'content-length': Buffer.byteLength(body) }
    const outgoing = request({
      // A connection of its own: none that was opened with another identity may serve it.
      createConnection: () => socket,
      host: address.host,
      port: address.port,
      path,
      method,
      headers,
      signal,
    })
    outgoing.on('error', reject).on('response', resolve).end(body)
    const incoming = await promise
    try {
      const tooLong = () => new TunnelError('PROTOCOL', 'The answer is too long.')
      const text = await readLimited(incoming, ENROLLMENT_BODY_MAX_BYTES, tooLong)
      return { status: incoming.statusCode ?? 0, text: text.toString('utf8') }
    } finally {
      outgoing.destroy()
    }
  } catch (err) {
    throw relayConnectError(signal.aborted ? signal.reason : err, address)
  }
}
