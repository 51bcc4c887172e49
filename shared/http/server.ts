import { randomBytes } from 'node:crypto'
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
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
  shouldUpgradeCallback: (request) => isWebSocketHandshake(request) && !isAnswering(request.socket),
} as const satisfies ServerOptions

/**
 * True while an answer is under way on a connection, by the place where node keeps it. An upgrade that comes behind such a
 * request is a plain request (RFC 9110 section 7.8 leaves that to the server): there cannot be two answers at once, and node
 * throws where somebody tries.
 */
function isAnswering(socket: Duplex): boolean {
  return answerOn(socket) !== undefined
}

function answerOn(socket: Duplex): { readonly headersSent: boolean } | undefined {
  const { _httpMessage: response } = socket as Duplex & { _httpMessage?: { headersSent: boolean } | null }
  return response ?? undefined
}

/** How long a refused connection may still take in what it has sent, in milliseconds. */
const LINGER_MS = 1_000

/**
 * Completes a server made with HTTP_SERVER_OPTIONS: all headers reach the checks (node drops those beyond a
 * count in silence), and what its parser refuses is answered by a problem document and closed.
 * The owner still adds `request`, `checkContinue` (with the same listener) and `upgrade`.
 */
export function hardenServer(server: Server, effects: Pick<Effects, 'after'> = realEffects): void {
  server.maxHeadersCount = 0
  // node reads nothing more behind a request that asks for an upgrade, whether it gets one or not: a client that sent more
  // would wait for ever.
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false
  })
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

/** node's own handler of this event looks at the same place. */
function hasBegunToAnswer(socket: Duplex): boolean {
  return answerOn(socket)?.headersSent === true
}

function faultOf(error: NodeJS.ErrnoException): TunnelError {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new TunnelError('HTTP_HEADERS_TOO_LARGE')
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new TunnelError('HTTP_REQUEST_TIMEOUT')
  return new TunnelError('HTTP_BAD_REQUEST', `The parser says ${error.code ?? 'no'}.`)
}
