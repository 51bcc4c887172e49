import { constants } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createSecureContext, type SecureContext } from 'node:tls'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { sendProblem, writeProblem } from '../../shared/http/problem.ts'
import { HTTP_SERVER_OPTIONS, hardenServer } from '../../shared/http/server.ts'
import { certificateSubject, type Subject } from '../../shared/identity/subject.ts'
import { sourceAddress } from '../../shared/tunnel/source-address.ts'
import type { Arrive } from '../../shared/tunnel/tcp-listener.ts'
import { SUBPROTOCOL } from '../../shared/version.ts'
import type { Api } from '../api/handler.ts'
import { API_ROOT } from '../api/routes.ts'
import { refusalEvent } from '../audit/session-events.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { identify, type Principal } from '../authority/identify.ts'
import type { ServerCertificate } from '../authority/server-certificate.ts'
import type { Enforcement } from '../enforcement/enforcement.ts'
import { hostOf } from '../ingress/host-route.ts'
import type { HttpIngress } from '../ingress/http.ts'
import { identifyByToken, upgradeToken } from '../machines/session-token.ts'
import type { RelayCounts } from '../metrics/counts.ts'
import { type AcceptContext, acceptSession } from './accept.ts'
import type { Admission } from './admission.ts'
import { type FrontDoor, guardFrontDoor, type PassThrough } from './front-door.ts'
import { holdIdle } from './idle-hold.ts'
import { joinLink } from './join-link.ts'
import { answerRoute, peerOf, UPGRADES } from './routes.ts'
import { SealedRequests } from './sealed.ts'
import { acceptSigned } from './signed-greeting.ts'

/** Connections of every kind in all. */
const MAX_CONNECTIONS = 16_384

/** How often node looks for requests whose head is late, in ms. */
const HEADERS_CHECK_MS = 2_000

/**
 * Browsers and first-time agents have no client certificate, agents and connectors do, and all come to one port: TLS asks
 * for a certificate, and the table of routes says who must have one. `socket.authorized` tells whether it held.
 */
const CLIENT_CERTIFICATE = { isAsked: true, isRequired: false } as const

export interface ServerOptions extends AcceptContext {
  readonly authority: AuthorityContext
  /** What TLS presents now. */
  readonly certificate: () => ServerCertificate
  /** What TLS presents to who asks for a published host; undefined for every other name. */
  readonly hostCertificate: (host: string) => Promise<ServerCertificate> | undefined
  /** True for the relay's own name, false for what may be a published host. */
  readonly isOwnHost: (host: string) => boolean
  readonly ingress: HttpIngress
  readonly enforcement: Pick<Enforcement, 'checkSession'>
  readonly api: Api
  readonly admission: Admission
  readonly arrive: Arrive
  readonly counts: Pick<RelayCounts, 'refused'>
  /** See FrontDoorOptions. */
  readonly passThrough: (serverName: string) => PassThrough | undefined
}

/** The one listener and what is open on it. */
export interface Gateway {
  /** Made but not listening. */
  readonly server: https.Server
  /** Closes every connection that is neither a tunnel nor passed through. */
  closeConnections(): void
}

/** The one listener: TLS 1.3, no session tickets, routes and upgrades under its own name, published hosts beside them. */
export function createGateway(options: ServerOptions): Gateway {
  const { limits } = options.admission
  const server = https.createServer({
    ...HTTP_SERVER_OPTIONS,
    ...tlsContext(options.certificate(), options.authority),
    SNICallback: hostContexts(options),
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: limits.handshakeMs,
    headersTimeout: limits.headersMs,
    connectionsCheckingInterval: Math.min(HEADERS_CHECK_MS, limits.headersMs),
    requestCert: CLIENT_CERTIFICATE.isAsked,
    rejectUnauthorized: CLIENT_CERTIFICATE.isRequired,
  })
  server.maxConnections = MAX_CONNECTIONS
  hardenServer(server, options.effects)
  const { certificate: ca } = options.authority.authority
  const sealed = new SealedRequests(options.effects, ca, options.certificate)
  const routeContext = { ...options, bodyMs: limits.bodyMs, sealed }
  const door = guardFrontDoor(server, options)
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    if (isOwn(options, request)) {
      const visit = { traceId: newTrace(options), stay: () => mayVisit(door, request.socket) }
      const answered = request.url?.startsWith(API_ROOT)
        ? options.api.handle(request, response, visit)
        : answerRoute(routeContext, request, response, visit.traceId)
      answered.catch((err: unknown) => options.log.error({ err }, 'route failed'))
    } else if (mayVisit(door, request.socket)) options.ingress.handle(request, response)
    else sendProblem({ request, response }, tooMany(), newTrace(options), options.effects)
  }
  server.on('request', onRequest)
  server.on('checkContinue', onRequest)
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (isOwn(options, request)) {
      upgrade(options, door, request, head).catch((err: unknown) => {
        options.log.error({ err }, 'upgrade failed')
        socket.destroy()
      })
    } else if (mayVisit(door, request.socket)) options.ingress.upgrade(request, socket, head)
    else writeProblem(socket, tooMany(), newTrace(options))
  })
  return {
    server,
    closeConnections() {
      server.closeAllConnections()
      door.closePending()
    },
  }
}

/** A connection without a ticket is closed already; its request ends by itself. */
function mayVisit(door: FrontDoor, socket: Socket): boolean {
  return door.ticketOf(socket)?.visit() ?? true
}

function tooMany(): TunnelError {
  return new TunnelError('OVERLOADED', 'Too many connections at once.')
}

/** For TLS: the context of the published host that a client asks for, or that of the relay's own name. */
function hostContexts(options: ServerOptions) {
  const contexts = new WeakMap<ServerCertificate, SecureContext>()
  const contextOf = (certificate: ServerCertificate) => {
    const context =
      contexts.get(certificate) ?? createSecureContext(tlsContext(certificate, options.authority))
    contexts.set(certificate, context)
    return context
  }
  return (name: string, done: (error: Error | null, context?: SecureContext) => void) => {
    const found = options.hostCertificate(name.toLowerCase())
    if (found === undefined) {
      done(null)
      return
    }
    found.then(contextOf).then(
      (context) => done(null, context),
      (err: unknown) => {
        options.log.error({ err }, 'no certificate for a published host')
        done(err as Error)
      },
    )
  }
}

/**
 * What changes when the certificate is renewed, and what node would else take its default for at that moment: TLS 1.3 only.
 * Tickets are off: a resumed session would bring a revoked client back.
 */
export function tlsContext(certificate: ServerCertificate, authority: AuthorityContext) {
  return {
    key: certificate.key.reveal(),
    cert: certificate.chain,
    ca: authority.authority.certificate.toString(),
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
    // Without tickets TLS 1.3 would fall back to stateful ones.
    sessionTimeout: 1,
  } as const
}

function isOwn(options: ServerOptions, request: IncomingMessage): boolean {
  const host = hostOf(request.headers.host ?? '')
  return host !== undefined && options.isOwnHost(host)
}

/** @throws {TunnelError} PROTOCOL where the request offers another */
function requireSubprotocol(request: IncomingMessage): void {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(/, ?/)
  if (!offered.includes(SUBPROTOCOL)) throw new TunnelError('PROTOCOL', `the subprotocol is ${SUBPROTOCOL}`)
}

async function upgrade(
  options: ServerOptions,
  door: FrontDoor,
  request: IncomingMessage,
  head: Buffer,
): Promise<void> {
  const { socket } = request
  socket.on('error', () => undefined)
  const peer = peerOf(request)
  try {
    const path = UPGRADES.get(request.url ?? '')
    if (path === undefined) throw new TunnelError('NOT_FOUND')
    if (options.isDraining()) throw new TunnelError('DRAINING')
    if (path.use === 'signed') {
      requireSubprotocol(request)
      return upgradeUnproved(options, door, request, head)
    }
    const principal = await whoComes(options, request, path.kind)
    if (path.kind !== 'either' && principal.kind !== path.kind)
      throw new TunnelError('IDENTITY', `a ${principal.kind} on the path of a ${path.kind}`)
    options.enforcement.checkSession(principal, {
      address: sourceAddress(socket),
      certificate: peer.certificate,
    })
    requireSubprotocol(request)
    // The store was asked in the meantime.
    if (options.isDraining()) throw new TunnelError('DRAINING')
    if (!options.admission.takeTunnel()) throw new TunnelError('OVERLOADED', 'Too many tunnels open at once.')
    if (socket.destroyed) return
    door.ticketOf(socket)?.prove()
    USES[path.use](options, request, head, principal)
  } catch (cause) {
    const error = isTunnelError(cause) ? cause : new TunnelError('INTERNAL', '', { cause })
    const [traceId, source] = [newTrace(options), sourceAddress(socket)]
    // A fault of our own says what it was; who was refused for a reason has it in the code.
    options.log.info({ code: error.code, source, traceId, err: error.cause }, 'upgrade refused')
    options.counts.refused('upgrade', error.code)
    const refusal = { outcome: error.code, detail: error.detail }
    options.audit(refusalEvent(provenSubject(peer), refusal, { source, object: request.url ?? '', traceId }))
    writeProblem(socket, error, traceId)
  }
}

/** Whom certificate or token name. No token is an agent's. @throws {TunnelError} IDENTITY, EXPIRED, REVOKED */
async function whoComes(
  options: ServerOptions,
  request: IncomingMessage,
  kind: Principal['kind'] | 'either',
): Promise<Principal> {
  const { certificate, authorized } = peerOf(request)
  const token = kind === 'agent' ? undefined : upgradeToken(request)
  return token === undefined
    ? identify(options.authority, certificate, authorized, sourceAddress(request.socket))
    : identifyByToken(options, token, certificate)
}

/** The connection stays pending, with all limits of such, until its greeting has proved whose it is. */
function upgradeUnproved(
  options: ServerOptions,
  door: FrontDoor,
  request: IncomingMessage,
  head: Buffer,
): void {
  acceptSigned(options, request, head, {
    serverName: hostOf(request.headers.host ?? '') ?? '',
    admit: () => {
      if (!options.admission.takeTunnel())
        throw new TunnelError('OVERLOADED', 'Too many tunnels open at once.')
      door.ticketOf(request.socket)?.prove()
    },
  })
}

const USES = { session: acceptSession, link: joinLink, idle: holdIdle } as const

/** Whom the certificate names, where the CA of this relay says so. */
function provenSubject({ certificate, authorized }: ReturnType<typeof peerOf>): Subject | undefined {
  return authorized && certificate !== undefined ? certificateSubject(certificate) : undefined
}

function newTrace(options: ServerOptions): string {
  return options.effects.randomBytes(16).toString('hex')
}
