import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { sendProblem } from '../../shared/http/problem.ts'
import { requestFault } from '../../shared/http/request-fault.ts'
import { clientAddress } from '../../shared/http/server.ts'
import type { Logger } from '../../shared/log.ts'
import { addressKey } from '../gateway/admission.ts'
import { KeyedBuckets } from '../gateway/keyed-buckets.ts'
import { peerOf } from '../gateway/routes.ts'
import { hostOf } from '../ingress/host-route.ts'
import type { Relay } from '../relay.ts'
import { answerOpen } from './answer-open.ts'
import { answerOperation } from './answer-operation.ts'
import { answerStream } from './answer-stream.ts'
import { type ApiCaller, type Authenticator, callerOf, type Presented, type RequestOrigin } from './caller.ts'
import { presentedBy, refuseForeignPage } from './evidence.ts'
import type { Exchange, Visit } from './exchange.ts'
import type { ApiLimits } from './limits.ts'
import { openApiText } from './openapi.ts'
import { noteRefusal } from './refusal.ts'
import { API_PREFIX, type ApiRoute, type RouteLists, RouteTable, routesOf } from './routes.ts'
import { sendBody } from './send.ts'

/** Callers and addresses that are counted at a time. */
const MAX_KEYS = 10_000

const MAX_HEADERS = 64

export interface ApiOptions extends RouteLists {
  /** Asked with each request, for the API is made before the relay is whole. */
  readonly relay: () => Relay
  readonly authenticators: (relay: Relay) => readonly Authenticator[]
  readonly limits: ApiLimits
  readonly effects: Effects
  readonly log: Logger
}

/** Answers everything under `/api/`. */
export interface Api {
  /** Never rejects. */
  handle(request: IncomingMessage, response: ServerResponse, visit: Visit): Promise<void>
}

/** The API of a relay: everything in its lists, and nothing else. */
export function createApi(options: ApiOptions): Api {
  const routes = routesOf(options)
  const table = new RouteTable(routes)
  const { limits, effects } = options
  const { addressPerSecond, addressBurst, callerPerSecond, callerBurst } = limits
  const addresses = new KeyedBuckets({ perSecond: addressPerSecond, burst: addressBurst, maxKeys: MAX_KEYS })
  const callers = new KeyedBuckets({ perSecond: callerPerSecond, burst: callerBurst, maxKeys: MAX_KEYS })
  const streams = new Map<string, number>()

  const answer = async (request: IncomingMessage, response: ServerResponse, visit: Visit, log: Trace) => {
    const origin = originOf(request, visit.traceId)
    if (!addresses.take(addressKey(origin.source), effects.now())) throw new TunnelError('ENHANCE_CALM')
    const relay = options.relay()
    const own = ownOrigin(request, relay)
    const [path = '', query = ''] = splitTarget(request.url ?? '')
    log.allow = () => table.allow(path)
    const { route, params } = table.find(request.method ?? '', path)
    log.route = route
    const presented = presentedBy(request, origin)
    if (route.kind !== 'open' || route.definition.isCrossSite !== true) {
      refuseForeignPage(request, own, presented?.kind === 'cookie')
    }
    const exchange: Exchange = {
      request,
      response,
      relay,
      origin,
      path,
      params,
      query,
      limits,
      effects,
      visit,
    }
    if (route.kind === 'description') {
      sendBody(exchange, openApiText(routes), false)
      return
    }
    const authenticate = () => identify(options.authenticators(relay), presented)
    if (route.kind === 'open') {
      const caller = await authenticate().catch(() => undefined)
      return answerOpen(exchange, route.definition, caller)
    }
    const caller = await authenticate()
    log.caller = caller
    if (!callers.take(callerKey(caller), effects.now())) throw new TunnelError('ENHANCE_CALM')
    if (route.kind === 'stream')
      return answerStream(exchange, route.definition, { caller, authenticate, streams })
    return answerOperation(exchange, route.definition, caller, table)
  }

  return {
    async handle(request, response, visit) {
      const trace: Trace = {}
      try {
        const fault = requestFault(request, MAX_HEADERS)
        if (fault !== undefined) throw fault
        await answer(request, response, visit, trace)
      } catch (cause) {
        refuse(options, { request, response, visit, trace }, cause)
      }
    },
  }
}

/** What is known of a request when it is refused. */
interface Trace {
  route?: ApiRoute
  caller?: ApiCaller
  allow?: () => string
}

interface Refused {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly visit: Visit
  readonly trace: Trace
}

function refuse({ log, effects, relay }: ApiOptions, refused: Refused, cause: unknown): void {
  const { request, response, visit, trace } = refused
  const { traceId } = visit
  const error = isTunnelError(cause) ? cause : new TunnelError('INTERNAL', '', { cause })
  if (error.code === 'INTERNAL')
    log.error({ err: cause, traceId, operation: trace.route?.definition.name }, 'api failed')
  noteRefusal(relay().trail.audit, {
    ...trace,
    origin: originOf(request, traceId),
    error,
    method: request.method ?? '',
  })
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  if (error.code === 'LOGIN' || error.code === 'LOGIN_AGAIN')
    response.setHeader('WWW-Authenticate', 'Bearer realm="sallyport"')
  if (error.code === 'HTTP_METHOD') response.setHeader('Allow', trace.allow?.() ?? '')
  sendProblem({ request, response }, error, traceId, effects)
}

function originOf(request: IncomingMessage, traceId: string): RequestOrigin {
  const { certificate, authorized } = peerOf(request)
  return { source: clientAddress(request), traceId, certificate: authorized ? certificate : undefined }
}

/** @throws {TunnelError} HTTP_MISDIRECTED where another name than the relay's own was called */
function ownOrigin(request: IncomingMessage, { address }: Relay): string {
  const host = request.headers.host ?? ''
  if (hostOf(host) !== address.host)
    throw new TunnelError('HTTP_MISDIRECTED', `The relay is ${address.host}.`)
  return `https://${host.toLowerCase()}`
}

/** The path behind the prefix, and the query. */
function splitTarget(url: string): [path: string, query: string] {
  const at = url.indexOf('?')
  const path = at < 0 ? url : url.slice(0, at)
  if (!path.startsWith(`${API_PREFIX}/`)) return ['', '']
  return [path.slice(API_PREFIX.length), at < 0 ? '' : url.slice(at + 1)]
}

/** @throws {TunnelError} LOGIN */
async function identify(
  authenticators: readonly Authenticator[],
  presented: Presented | undefined,
): Promise<ApiCaller> {
  if (presented === undefined) throw new TunnelError('LOGIN')
  return callerOf(authenticators, presented)
}

function callerKey({ kind, tenantId, id }: ApiCaller): string {
  return `${kind} ${tenantId} ${id}`
}
