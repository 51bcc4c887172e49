import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { type Effects, realEffects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { createForwarder, type Forwarder, type Upstream } from '../../shared/http/forwarder.ts'
import { HTTP_LIMITS, type HttpLimits } from '../../shared/http/limits.ts'
import { responseOn, sendProblem } from '../../shared/http/problem.ts'
import { requestFault } from '../../shared/http/request-fault.ts'
import { traceOf } from '../../shared/http/trace.ts'
import { isWebSocketHandshake } from '../../shared/http/upgrade.ts'
import type { Logger } from '../../shared/log.ts'
import type { OpenRequest } from '../../shared/tunnel/opener.ts'
import { type RequestContext, requestContext } from './host-route.ts'
import { goesInCircles, ingressHeaders, isForwardedByUs } from './http-headers.ts'

/** A resource that is reachable by a host name of the relay's. */
export interface Publication {
  readonly tenantId: string
  readonly environment: string
  readonly site: string
  readonly resource: string
  /** Canonical: lower case, no port, no trailing dot. */
  readonly host: string
}

/** A stream for a request. */
export interface IngressRequest extends OpenRequest {
  /** The host under which it came. */
  readonly publication: string
  /** What the visitor showed to TLS, whoever issued it. */
  readonly certificate: X509Certificate | undefined
}

export interface IngressLimits extends HttpLimits {
  /** Requests in work on one connection; HTTP/1.1 clients pipeline few. */
  readonly maxPipelined: number
  /** Requests in work for one published host. */
  readonly maxPerHost: number
}

export interface HttpIngressOptions {
  /** The publication of a canonical host. */
  readonly route: (host: string) => Publication | undefined
  /**
   * Opens a stream. The Duplex takes writes at once (they travel with the OPEN), emits `connect` when the target was dialled,
   * and is destroyed with a TunnelError when it was not.
   */
  readonly open: (request: IngressRequest) => Duplex
  readonly log: Logger
  readonly limits?: Partial<IngressLimits>
  readonly effects?: Pick<Effects, 'after' | 'randomBytes'>
}

/** Requests for published hosts. Both calls answer in every case and never throw. */
export interface HttpIngress {
  /** For the `request` and `checkContinue` events. */
  handle(request: IncomingMessage, response: ServerResponse): void
  /** For the `upgrade` event; takes over `socket`. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
}

const INGRESS_LIMITS: IngressLimits = { ...HTTP_LIMITS, maxPipelined: 16, maxPerHost: 1_024 }

interface Ingress {
  readonly options: HttpIngressOptions
  readonly limits: IngressLimits
  readonly effects: Pick<Effects, 'after' | 'randomBytes'>
  readonly forwarder: Forwarder
  /** Requests in work, by connection and by host. */
  readonly perConnection: WeakMap<Duplex, number>
  readonly perHost: Map<string, number>
  /** Connections on which a request was refused: what follows on them is not looked at. */
  readonly refused: WeakSet<Duplex>
}

/** The way in from the web: one parse, one authority, one stream of its own for each request. */
export function createHttpIngress(options: HttpIngressOptions): HttpIngress {
  const limits = { ...INGRESS_LIMITS, ...options.limits }
  const effects = options.effects ?? realEffects
  const onFailure = (error: TunnelError, traceId: string) =>
    options.log.info({ traceId, code: error.code, leg: error.leg }, 'http exchange failed')
  const ingress: Ingress = {
    options,
    limits,
    effects,
    forwarder: createForwarder({ limits, effects, onFailure }),
    perConnection: new WeakMap(),
    perHost: new Map(),
    refused: new WeakSet(),
  }
  return {
    handle(request, response) {
      if (ingress.refused.has(request.socket)) return
      try {
        const { context, publication } = admit(ingress, request)
        countUntilClosed(ingress, request.socket, publication, response)
        ingress.forwarder.forward(request, response, upstreamOf(ingress, request, { context, publication }))
      } catch (error) {
        refuse(ingress, { request, response }, error)
      }
    },
    upgrade(request, socket, head) {
      socket.on('error', () => undefined)
      // The answer that refused the one before may still be on its way out.
      if (ingress.refused.has(socket)) {
        socket.end()
        return
      }
      try {
        if (!isWebSocketHandshake(request))
          throw new TunnelError('HTTP_BAD_REQUEST', 'Only WebSocket upgrades.')
        const { context, publication } = admit(ingress, request)
        countUntilClosed(ingress, socket, publication, socket)
        ingress.forwarder.upgrade(
          request,
          socket,
          head,
          upstreamOf(ingress, request, { context, publication }),
        )
      } catch (error) {
        refuse(ingress, { request, response: responseOn(request, socket) }, error)
      }
    },
  }
}

interface Admitted {
  readonly context: RequestContext
  readonly publication: Publication
}

/** @throws {TunnelError} HTTP_BAD_REQUEST, HTTP_HEADERS_TOO_LARGE, HTTP_MISDIRECTED, NOT_FOUND, OVERLOADED */
function admit(ingress: Ingress, request: IncomingMessage): Admitted {
  const fault = requestFault(request, ingress.limits.maxHeaders)
  if (fault !== undefined) throw fault
  const context = requestContext(request, ingress.effects)
  if (goesInCircles(request)) throw new TunnelError('HTTP_BAD_REQUEST', 'The request goes in circles.')
  const publication = ingress.options.route(context.host)
  // The same words for every host that is not published: nobody learns which ones exist elsewhere.
  if (publication === undefined) throw new TunnelError('NOT_FOUND')
  const onConnection = ingress.perConnection.get(request.socket) ?? 0
  const onHost = ingress.perHost.get(publication.host) ?? 0
  if (onConnection >= ingress.limits.maxPipelined || onHost >= ingress.limits.maxPerHost) {
    throw new TunnelError('OVERLOADED', 'Too many requests at once.')
  }
  return { context, publication }
}

function countUntilClosed(
  { perConnection, perHost }: Ingress,
  socket: Duplex,
  { host }: Publication,
  end: ServerResponse | Duplex,
): void {
  perConnection.set(socket, (perConnection.get(socket) ?? 0) + 1)
  perHost.set(host, (perHost.get(host) ?? 0) + 1)
  end.once('close', () => {
    perConnection.set(socket, (perConnection.get(socket) ?? 1) - 1)
    const left = (perHost.get(host) ?? 1) - 1
    if (left > 0) perHost.set(host, left)
    else perHost.delete(host)
  })
}

function upstreamOf(ingress: Ingress, request: IncomingMessage, admitted: Admitted): Upstream {
  const { context, publication } = admitted
  const { tenantId, environment, site, resource } = publication
  return {
    connect: (signal) =>
      ingress.options.open({
        ...{ tenantId, environment, site, resource, signal },
        protocol: 'http',
        sourceAddress: context.client,
        publication: publication.host,
        certificate: shownCertificate(request),
        traceId: context.trace.id,
      }),
    set: ingressHeaders(request, context),
    withheld: isForwardedByUs,
    traceId: context.trace.id,
  }
}

/** Undefined on a connection without TLS, as tests have it. */
function shownCertificate({ socket }: IncomingMessage): X509Certificate | undefined {
  return socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
}

function refuse(
  ingress: Ingress,
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse },
  cause: unknown,
): void {
  const { request } = exchange
  const error = isTunnelError(cause) ? cause : new TunnelError('INTERNAL', '', { cause })
  const traceId = traceOf(request, ingress.effects).id
  ingress.refused.add(request.socket)
  ingress.options.log.info({ traceId, code: error.code, err: error.cause }, 'http request refused')
  sendProblem(exchange, error, traceId, ingress.effects)
}
