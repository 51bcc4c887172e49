import type { IncomingMessage } from 'node:http'
import type net from 'node:net'
import tls from 'node:tls'
import WebSocket from 'ws'
import { ERRORS, type ErrorCode, TunnelError } from '../errors.ts'
import { formatRelayAddress, type RelayAddress } from '../identity/relay-address.ts'
import {
  type ClientIdentity,
  type RelayTrust,
  relayConnectError,
  relayTlsOptions,
} from '../identity/relay-tls.ts'
import { SUBPROTOCOL } from '../version.ts'
import { MAX_MESSAGE_BYTES } from '../wire/websocket.ts'
import { takeOverAfterHandshake } from './upgraded.ts'

/** How long TCP, TLS and the upgrade may take together, in ms. */
const DIAL_TIMEOUT_MS = 15_000

/** What proves who we are and whom we expect. */
export type TunnelIdentity = RelayTrust & ClientIdentity

/** Longest problem document that is read, in bytes. */
const MAX_PROBLEM_BYTES = 8_192

/**
 * Opens the TLS 1.3 connection and upgrades it to a WebSocket; the library does the handshake and lets go of the socket.
 * The socket comes back paused.
 * @throws {TunnelError} RELAY_UNREACHABLE, RELAY_IDENTITY, IDENTITY, or what the relay's problem document says
 */
export function dialRelay(
  address: RelayAddress,
  path: '/v1/agent' | '/v1/connector' | '/v1/idle' | '/v1/link',
  identity: TunnelIdentity,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
    const socket = tls.connect({
      host: address.host,
      port: address.port,
      ...relayTlsOptions(identity, identity),
      ALPNProtocols: ['http/1.1'],
    })
    const authority = formatRelayAddress({ host: identity.serverName, port: address.port })
    const webSocket = new WebSocket(`wss://${authority}${path}`, [SUBPROTOCOL], {
      createConnection: () => socket,
      headers,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      followRedirects: false,
    })
    let seen: tls.PeerCertificate | undefined
    // Before Node's own listener, which takes the socket down where the certificate does not hold. Only the leaf: what is
    // read of the chain here would be missing there.
    socket.prependListener('secure', () => {
      seen = socket.getPeerCertificate()
    })
    let release = () => {}
    const fail = (error: TunnelError) => {
      limit.removeEventListener('abort', onAbort)
      reject(error)
      webSocket.terminate()
      socket.destroy()
    }
    const onAbort = () =>
      fail(new TunnelError('RELAY_UNREACHABLE', `no answer from ${address.host}:${address.port}`))
    limit.addEventListener('abort', onAbort, { once: true })
    webSocket.on('error', (error) => fail(relayConnectError(error, address, seen)))
    webSocket.on('unexpected-response', (_request, response) => {
      readRefusal(response).then(fail, () => fail(new TunnelError('RELAY_UNREACHABLE')))
    })
    webSocket.on('upgrade', () => {
      release = takeOverAfterHandshake(socket)
    })
    webSocket.on('open', () => {
      limit.removeEventListener('abort', onAbort)
      socket.pause()
      release()
      resolve(socket)
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

function problemCode(text: string): ErrorCode | undefined {
  try {
    const { code } = JSON.parse(text) as { code?: unknown }
    return typeof code === 'string' && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : undefined
  } catch {
    return undefined
  }
}
