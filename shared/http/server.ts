import { randomBytes } from 'node:crypto'
import type { IncomingMessage, Server, ServerOptions } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Effects, realEffects } from '../effects.ts'
import { TunnelError } from '../errors.ts'
import { writeProblem } from './problem.ts'
import { isWebSocketHandshake } from './upgrade.ts'

/**
 * Options for every node:http server that faces requests to be forwarded. Times are milliseconds. There is no
 * limit on a whole request, which would cut long uploads: the forwarder watches for standstill instead.
 */
export const HTTP_SERVER_OPTIONS = {
  /** Request line and headers, in bytes. */
  maxHeaderSize: 16 * 1024,
  insecureHTTPParser: false,
  /** `requestFault` does it, with a problem document. */
  requireHostHeader: false,
  headersTimeout: 10_000,
  requestTimeout: 0,
  keepAliveTimeout: 60_000,
  connectionsCheckingInterval: 2_000,
  noDelay: true,
  /** A client that vanished without a word is found by TCP. */
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
  shouldUpgradeCallback: isWebSocketHandshake,
} as const satisfies ServerOptions

/** How long a refused connection may still take in what it has sent, in milliseconds. */
const LINGER_MS = 1_000

/**
 * Completes a server made with HTTP_SERVER_OPTIONS: all headers reach the checks (node drops those beyond a
 * count in silence), and what its parser refuses is answered by a problem document and closed.
 * The owner still adds `request`, `checkContinue` (with the same listener) and `upgrade`.
 */
export function hardenServer(server: Server, effects: Pick<Effects, 'after'> = realEffects): void {
  server.maxHeadersCount = 0
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    refuseConnection(error, socket, effects)
  })
}

function refuseConnection(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  effects: Pick<Effects, 'after'>,
): void {
  // Broken by the network, or already told.
  if (!socket.writable || error.code === 'ECONNRESET') {
    if (!socket.writableEnded) socket.destroy()
    return
  }
  if (hasBegunToAnswer(socket)) {
    socket.destroy()
    return
  }
  writeProblem(socket, faultOf(error), randomBytes(16).toString('hex'))
  effects.after(LINGER_MS, () => socket.destroy())
}

/** node keeps the response in work here, and its own handler of this event looks at the same place. */
function hasBegunToAnswer(socket: Duplex): boolean {
  const { _httpMessage: response } = socket as Duplex & { _httpMessage?: { headersSent: boolean } | null }
  return response?.headersSent === true
}

function faultOf(error: NodeJS.ErrnoException): TunnelError {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new TunnelError('HTTP_HEADERS_TOO_LARGE')
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new TunnelError('HTTP_REQUEST_TIMEOUT')
  return new TunnelError('HTTP_BAD_REQUEST', `The parser says ${error.code ?? 'no'}.`)
}

/** The client's address, IPv4 in its plain form; `unknown` on a connection that has none. */
export function clientAddress(request: IncomingMessage): string {
  return request.socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '') ?? 'unknown'
}
