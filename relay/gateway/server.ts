import { constants } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { writeProblem } from '../../shared/http/problem.ts'
import { HTTP_SERVER_OPTIONS, hardenServer } from '../../shared/http/server.ts'
import { SUBPROTOCOL } from '../../shared/version.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { identify } from '../authority/identify.ts'
import type { ServerCertificate } from '../authority/server-certificate.ts'
import { hostOf } from '../ingress/host-route.ts'
import type { HttpIngress } from '../ingress/http.ts'
import { type AcceptContext, acceptSession } from './accept.ts'
import { answerRoute, peerOf, UPGRADES } from './routes.ts'

/** How long a TLS handshake may take, in ms. */
const TLS_HANDSHAKE_MS = 10_000

/** Connections in all, and of one address, that have not become a tunnel. */
const MAX_CONNECTIONS = 16_384

/**
 * Browsers and first-time agents have no client certificate, agents and connectors do, and all come to one port: TLS asks
 * for a certificate, and the table of routes says who must have one. `socket.authorized` tells whether it held.
 */
const CLIENT_CERTIFICATE = { isAsked: true, isRequired: false } as const

export interface ServerOptions extends AcceptContext {
  readonly authority: AuthorityContext
  readonly certificate: ServerCertificate
  /** True for the relay's own name, false for what may be a published host. */
  readonly isOwnHost: (host: string) => boolean
  readonly ingress: HttpIngress
  /** True once the relay is shutting down. */
  readonly isDraining: () => boolean
}

/** The one listener: TLS 1.3, no session tickets, routes and upgrades under its own name, published hosts beside them. */
export function createGatewayServer(options: ServerOptions): https.Server {
  const server = https.createServer({
    ...HTTP_SERVER_OPTIONS,
    ...tlsContext(options.certificate, options.authority),
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: TLS_HANDSHAKE_MS,
    requestCert: CLIENT_CERTIFICATE.isAsked,
    rejectUnauthorized: CLIENT_CERTIFICATE.isRequired,
  })
  server.maxConnections = MAX_CONNECTIONS
  hardenServer(server)
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    if (isOwn(options, request)) {
      answerRoute(options.authority, request, response, newTrace(options)).catch((err: unknown) => {
        options.log.error({ err }, 'route failed')
      })
    } else options.ingress.handle(request, response)
  }
  server.on('request', onRequest)
  server.on('checkContinue', onRequest)
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (isOwn(options, request)) {
      upgrade(options, request, socket, head).catch((err: unknown) => {
        options.log.error({ err }, 'upgrade failed')
        socket.destroy()
      })
    } else options.ingress.upgrade(request, socket, head)
  })
  return server
}

/** What changes when the certificate is renewed. Tickets are off: a resumed session would bring a revoked client back. */
export function tlsContext(certificate: ServerCertificate, authority: AuthorityContext) {
  return {
    key: certificate.key.reveal(),
    cert: certificate.chain,
    ca: authority.authority.certificate.toString(),
    secureOptions: constants.SSL_OP_NO_TICKET,
    // Without tickets TLS 1.3 would fall back to stateful ones.
    sessionTimeout: 1,
  }
}

function isOwn(options: ServerOptions, request: IncomingMessage): boolean {
  const host = hostOf(request.headers.host ?? '')
  return host !== undefined && options.isOwnHost(host)
}

async function upgrade(
  options: ServerOptions,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  socket.on('error', () => undefined)
  try {
    const kind = UPGRADES.get(request.url ?? '')
    if (kind === undefined) throw new TunnelError('NOT_FOUND')
    if (options.isDraining()) throw new TunnelError('DRAINING')
    const peer = peerOf(request)
    const principal = await identify(options.authority, peer.certificate, peer.authorized)
    if (principal.kind !== kind)
      throw new TunnelError('IDENTITY', `a ${principal.kind} on the path of a ${kind}`)
    if (!(request.headers['sec-websocket-protocol'] ?? '').split(/, ?/).includes(SUBPROTOCOL)) {
      throw new TunnelError('PROTOCOL', `the subprotocol is ${SUBPROTOCOL}`)
    }
    if (socket.destroyed) return
    acceptSession(options, request, head, principal)
  } catch (cause) {
    const error = isTunnelError(cause) ? cause : new TunnelError('INTERNAL', '', { cause })
    options.log.info({ code: error.code, source: request.socket.remoteAddress }, 'upgrade refused')
    writeProblem(socket, error, newTrace(options))
  }
}

function newTrace(options: ServerOptions): string {
  return options.effects.randomBytes(16).toString('hex')
}
