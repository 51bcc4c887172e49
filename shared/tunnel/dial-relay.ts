import type net from 'node:net'
import tls from 'node:tls'
import WebSocket from 'ws'
import { TunnelError } from '../errors.ts'
import { SUBPROTOCOL } from '../version.ts'
import { MAX_MESSAGE_BYTES } from '../wire/websocket.ts'
import { takeOverAfterHandshake } from './upgraded.ts'

/** How long TCP, TLS and the upgrade may take together, in ms. */
const DIAL_TIMEOUT_MS = 15_000

export interface RelayAddress {
  readonly host: string
  readonly port: number
}

/** What proves who we are and whom we expect. PEM texts. */
export interface TunnelIdentity {
  /** The relay's own CA: the only root that is trusted on this connection. */
  readonly ca: string
  readonly certificate: string
  readonly key: string
  /** Name the relay's certificate must carry. */
  readonly serverName: string
}

/**
 * Opens the TLS 1.3 connection and upgrades it to a WebSocket; the library does the handshake and lets go of the socket.
 * The socket comes back paused.
 * @throws {TunnelError} RELAY_UNREACHABLE, RELAY_IDENTITY, IDENTITY, or what the relay's problem document says
 */
export function dialRelay(
  address: RelayAddress,
  path: '/v1/agent' | '/v1/connector',
  identity: TunnelIdentity,
  signal: AbortSignal,
): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
    const socket = tls.connect({
      host: address.host,
      port: address.port,
      servername: identity.serverName,
      ca: identity.ca,
      cert: identity.certificate,
      key: identity.key,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
    })
    const webSocket = new WebSocket(`wss://${identity.serverName}:${address.port}${path}`, [SUBPROTOCOL], {
      createConnection: () => socket,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      followRedirects: false,
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
    webSocket.on('error', (error) => fail(dialError(error, address)))
    webSocket.on('unexpected-response', (_request, response) => {
      fail(refusal(response.statusCode ?? 0, response.headers['x-sallyport-code']))
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

/** Errors of certificate verification, which mean that something else than the relay answered. */
const IDENTITY_ERRORS =
  /^(?:ERR_TLS_|CERT_|DEPTH_|UNABLE_TO_|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA|ERR_SSL_TLSV1_ALERT)/

function dialError(error: NodeJS.ErrnoException, address: RelayAddress): TunnelError {
  const where = `${address.host}:${address.port}`
  const code = error.code ?? ''
  if (IDENTITY_ERRORS.test(code)) {
    return new TunnelError('RELAY_IDENTITY', `${where} (${code})`, { cause: error })
  }
  return new TunnelError('RELAY_UNREACHABLE', `${where} (${code === '' ? error.message : code})`, {
    cause: error,
  })
}

/** The relay answers an upgrade it refuses with a status and names its code in a header. */
function refusal(status: number, code: string | string[] | undefined): TunnelError {
  const detail = `the relay answered ${status}`
  if (code === 'REVOKED' || code === 'EXPIRED' || code === 'OVERLOADED' || code === 'DRAINING') {
    return new TunnelError(code, detail)
  }
  if (status === 401 || status === 403) return new TunnelError('IDENTITY', detail)
  return new TunnelError('RELAY_UNREACHABLE', detail)
}
