import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { sendProblem } from '../../shared/http/problem.ts'
import { requestFault } from '../../shared/http/request-fault.ts'
import type { Logger } from '../../shared/log.ts'
import { sourceAddress } from '../../shared/tunnel/source-address.ts'
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
import { noteEarlyRefusal } from './refusal.ts'
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

/** What is known of a request so far, for its refusal. */
interface Progress {
  route?: ApiRoute
  caller?: ApiCaller
  /** Refusals are noted by who makes them, or nobody tried anything. */
  isQuiet: boolean
}

/** The API of a relay: everything in its lists, and nothing else. */
export function createApi(options: ApiOptions): Api {
  const routes = routesOf(options)
  const context: Context = {
    ...options,
    routes,
    table: new RouteTable(routes),
    addresses: bucketsOf(options.limits.addressPerSecond, options.limits.addressBurst),
    callers: bucketsOf(options.limits.callerPerSecond, options.limits.callerBurst),
    openStreams: new Map(),
  }
  return {
    async handle(request, response, visit) {
      const progress: Progress = { isQuiet: true }
      try {
        await answer(context, { request, response, visit }, progress)
      } catch (cause) {
        refuse(context, { request, response, visit }, progress, cause)
      }
    },
  }
}

interface Context extends ApiOptions {
  readonly routes: readonly ApiRoute[]
  readonly table: RouteTable
  readonly addresses: KeyedBuckets
  readonly callers: KeyedBuckets
  /** Streams that each caller has open. */
  readonly openStreams: Map<string, number>
}

function bucketsOf(perSecond: number, burst: number): KeyedBuckets {
  return new KeyedBuckets({ perSecond, burst, maxKeys: MAX_KEYS })
}

type Incoming = Pick<Exchange, 'request' | 'response' | 'visit'>

async function answer(context: Context, incoming: Incoming, progress: Progress): Promise<void> {
  const { table, limits, effects } = context
  const { request, visit } = incoming
  // No path takes it, and Allow says what there is; the faults below would call it no request at all.
  if (request.method === 'TRACE') table.find('TRACE', splitTarget(request.url ?? '')[0])
  const fault = requestFault(request, MAX_HEADERS)
  if (fault !== undefined) throw fault
  const origin = originOf(request, visit.traceId)
  take(context.addresses, addressKey(origin.source), effects)
  const relay = context.relay()
  const own = ownOrigin(request, relay)
  const [path, query] = splitTarget(request.url ?? '')
  const { route, params } = table.find(request.method ?? '', path)
  Object.assign(progress, { route, isQuiet: false })
  const presented = presentedBy(request, origin)
  if (route.kind !== 'open' || route.definition.isCrossSite !== true) {
    refuseForeignPage(request, own, presented?.kind === 'cookie')
  }
  const onAsked = () => {
    progress.isQuiet = true
  }
  const exchange = { ...incoming, relay, origin, path, params, query, limits, effects, onAsked }
  const authenticate = () => identify(context.authenticators(relay), presented)
  if (presented === undefined || route.kind === 'open') progress.isQuiet = true
  if (route.kind === 'description') return sendBody(exchange, openApiText(context.routes), false)
  if (route.kind === 'open') {
    const caller = await authenticate().catch(() => undefined)
    return answerOpen(exchange, route.definition, { caller, presented })
  }
  const caller = await authenticate()
  progress.caller = caller
  take(context.callers, callerKey(caller), effects)
  if (route.kind === 'operation') return answerOperation(exchange, route.definition, caller, table)
  return answerStream(exchange, route.definition, { caller, authenticate, streams: context.openStreams })
}

function refuse(context: Context, incoming: Incoming, progress: Progress, cause: unknown): void {
  const { request, response, visit } = incoming
  const { traceId } = visit
  const { route, caller, isQuiet } = progress
  const error = isTunnelError(cause) ? cause : new TunnelError('INTERNAL', '', { cause })
  if (error.code === 'INTERNAL') {
    context.log.error({ err: cause, traceId, operation: route?.definition.name }, 'api failed')
  }
  if (!isQuiet && route !== undefined) {
    const { audit } = context.relay().trail
    noteEarlyRefusal(audit, { route, caller, origin: originOf(request, traceId), error })
  }
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  if (error.code === 'LOGIN' || error.code === 'LOGIN_AGAIN') {
    response.setHeader('WWW-Authenticate', 'Bearer realm="sallyport"')
  }
  if (error.code === 'HTTP_METHOD') {
    response.setHeader('Allow', context.table.allow(splitTarget(request.url ?? '')[0]))
  }
  sendProblem({ request, response }, error, traceId, context.effects)
}

/** @throws {TunnelError} ENHANCE_CALM */
function take(buckets: KeyedBuckets, key: string, { now }: Pick<Effects, 'now'>): void {
  if (!buckets.take(key, now())) throw new TunnelError('ENHANCE_CALM')
}

function originOf(request: IncomingMessage, traceId: string): RequestOrigin {
  const { certificate, authorized } = peerOf(request)
  const source = sourceAddress(request.socket)
  return { source, traceId, certificate: authorized ? certificate : undefined, shown: certificate }
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
