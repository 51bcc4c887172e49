import type { IncomingMessage } from 'node:http'
import type net from 'node:net'
import type { TLSSocket } from 'node:tls'
import WebSocket from 'ws'
import { ERRORS, type ErrorCode, TunnelError } from '../errors.ts'
import { NONCE_HEADER, parseNonce, SIGNED_AGENT_PATH } from '../handshake/signed-hello.ts'
import { formatRelayAddress, type RelayAddress } from '../identity/relay-address.ts'
import { type ClientIdentity, type RelayTrust, relayConnectError } from '../identity/relay-tls.ts'
import { DIRECT_NETWORK, type Network } from '../network/network.ts'
import { secureToRelay } from '../network/secure.ts'
import type { Secret } from '../secret.ts'
import { SUBPROTOCOL } from '../version.ts'
import { MAX_MESSAGE_BYTES } from '../wire/websocket.ts'
import { takeOverAfterHandshake } from './upgraded.ts'

/** How long TCP, TLS and the upgrade may take together, in ms. */
const DIAL_TIMEOUT_MS = 15_000

/** What proves who we are, whom we expect, and how we get there: directly unless told otherwise. */
export type TunnelIdentity = RelayTrust &
  ClientIdentity & {
    readonly network?: Network
    /** Says who we are in the place of the certificate, to which it is bound. */
    readonly token?: Secret<string>
  }

/** What becomes a WebSocket at the relay. */
export type UpgradePath = '/v1/agent' | '/v1/connector' | '/v1/idle' | '/v1/link'

/** Longest problem document that is read, in bytes. */
const MAX_PROBLEM_BYTES = 8_192

/** An upgraded connection. */
export interface RelaySocket {
  /** Paused. */
  readonly socket: net.Socket
  /** Where an inspector stands in between: nothing is proved yet, and the greeting must do it (docs/protocol.md 2.1). */
  readonly inspected?: {
    /** Its name, from its certificate. */
    readonly by: string
    /** The relay's nonce, 32 bytes. */
    readonly nonce: Buffer
  }
}

/**
 * Opens the TLS connection and upgrades it to a WebSocket, with the relay itself at the other end. The socket comes back
 * paused.
 * @throws {TunnelError} of {@link dialTunnel}
 */
export async function dialRelay(
  address: RelayAddress,
  path: UpgradePath,
  identity: TunnelIdentity,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<net.Socket> {
  const { socket, inspected } = await dialTunnel(address, path, identity, signal, headers)
  if (inspected === undefined) return socket
  throw notThrough(inspected.by, socket)
}

function notThrough(inspector: string, socket: net.Socket): TunnelError {
  socket.destroy()
  const text = `${inspector} stands in between; only an agent's session may go by it.`
  return new TunnelError('RELAY_IDENTITY', text)
}

/**
 * As {@link dialRelay}, but where the site accepted an inspector, one may stand in between on the path of an agent.
 * @throws {TunnelError} RELAY_UNREACHABLE, RELAY_IDENTITY, IDENTITY, or what the relay's problem document says; PROXY_AUTH,
 * PROXY_REFUSED, PROXY_UNREACHABLE, PAC
 */
export async function dialTunnel(
  address: RelayAddress,
  path: UpgradePath,
  identity: TunnelIdentity,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<RelaySocket> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
  const { socket, inspector } = await secureToRelay({
    network: identity.network ?? DIRECT_NETWORK,
    address,
    trust: identity,
    client: identity,
    signal: limit,
  })
  if (inspector !== undefined && path !== '/v1/agent') throw notThrough(inspector, socket)
  const authority = formatRelayAddress({ host: identity.serverName, port: address.port })
  const url = `wss://${authority}${inspector === undefined ? path : SIGNED_AGENT_PATH}`
  const { token } = identity
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }
  const answer = await upgrade(socket, url, {
    address,
    headers: { ...headers, ...authorization },
    signal: limit,
  })
  if (inspector === undefined) return { socket }
  const nonce = parseNonce(answer.headers[NONCE_HEADER])
  if (nonce !== undefined) return { socket, inspected: { by: inspector, nonce } }
  socket.destroy()
  throw new TunnelError('RELAY_IDENTITY', `${inspector} stands in between and took the relay's nonce away.`)
}

interface Upgrade {
  readonly address: RelayAddress
  readonly headers: Readonly<Record<string, string>>
  /** Also carries the deadline. */
  readonly signal: AbortSignal
}

/** The library does the handshake and lets go of the socket, which is paused then. */
function upgrade(
  socket: TLSSocket,
  url: string,
  { address, headers, signal }: Upgrade,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(url, [SUBPROTOCOL], {
      createConnection: () => socket,
      headers,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      followRedirects: false,
    })
    let release = () => {}
    let answer: IncomingMessage
    const fail = (error: TunnelError) => {
      signal.removeEventListener('abort', onAbort)
      reject(error)
      webSocket.terminate()
      socket.destroy()
    }
    const onAbort = () =>
      fail(new TunnelError('RELAY_UNREACHABLE', `no answer from ${address.host}:${address.port}`))
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    webSocket.on('error', (error) => fail(relayConnectError(error, address)))
    webSocket.on('unexpected-response', (_request, response) => {
      readRefusal(response).then(fail, () => fail(new TunnelError('RELAY_UNREACHABLE')))
    })
    webSocket.on('upgrade', (response) => {
      answer = response
      release = takeOverAfterHandshake(socket)
    })
    webSocket.on('open', () => {
      signal.removeEventListener('abort', onAbort)
      socket.pause()
      release()
      resolve(answer)
    })
  })
}

/** The relay answers an upgrade it refuses with a problem document, which names the code. */
async function readRefusal(response: IncomingMessage): Promise<TunnelError> {
  const status = response.statusCode ?? 0
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_PROBLEM_BYTES) break
    chunks.push(chunk)
  }
  const code = problemCode(Buffer.concat(chunks).toString('utf8'))
  if (code !== undefined) return new TunnelError(code, `the relay answered ${status}`)
  return new TunnelError('RELAY_UNREACHABLE', `something on the way answered ${status}`)
}

/** The code in a problem document; undefined where the text is none of ours. */
export function problemCode(text: string): ErrorCode | undefined {
  try {
    const { code } = JSON.parse(text) as { code?: unknown }
    return typeof code === 'string' && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : undefined
  } catch {
    return undefined
  }
}
