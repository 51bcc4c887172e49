import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Effects, realEffects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import { createForwarder, type Upstream } from '../shared/http/forwarder.ts'
import { HTTP_LIMITS, type HttpLimits } from '../shared/http/limits.ts'
import { responseOn, sendProblem } from '../shared/http/problem.ts'
import { requestFault } from '../shared/http/request-fault.ts'
import { HTTP_SERVER_OPTIONS, hardenServer } from '../shared/http/server.ts'
import { traceOf } from '../shared/http/trace.ts'
import type { Logger } from '../shared/log.ts'
import { type RequestDenial, requestDenial } from '../shared/policy/request.ts'
import type { Rule } from '../shared/policy/rule.ts'
import { formatHostPort } from '../shared/wire/host-port.ts'

export interface HttpTargetOptions {
  /** A rule with protocol `http`; the caller makes a new target when the rule changes. */
  readonly rule: Pick<Rule, 'resource' | 'host' | 'port' | 'http'>
  /** Dials the target for one request; fails with a TunnelError. `signal` aborts when nobody waits any more. */
  readonly dial: (signal: AbortSignal) => Duplex | Promise<Duplex>
  readonly log: Logger
  readonly limits?: Partial<HttpLimits>
  readonly effects?: Pick<Effects, 'after' | 'randomBytes'>
}

export interface AcceptOptions {
  /**
   * True only where the relay's own ingress opened the stream: it has put the client's address into
   * X-Forwarded-* itself. From anybody else these headers are claims, and are taken out.
   */
  readonly fromIngress: boolean
}

/** The HTTP end of the streams to one resource: each request is looked at, then goes to the target on a new connection. */
export interface HttpTarget {
  /** Takes over a stream that speaks HTTP/1.1. */
  accept(stream: Duplex, options: AcceptOptions): void
  /** Breaks off all streams. */
  close(): void
}

/** What the relay's ingress adds to a head of its largest size. */
const HEAD_ROOM = { bytes: 4 * 1024, headers: 16 }
/** For the head of a stream's first request, in milliseconds; node's own limit needs a listening server. */
const FIRST_HEAD_MS = 10_000

const DENIALS: Readonly<Record<RequestDenial, string>> = {
  method: 'This method is not allowed.',
  path: 'This path is not allowed.',
  'request-target': 'The path could be read in more than one way.',
}
/** Headers by which frameworks let a request say it is another one; a rule on methods or paths would be void. */
const OVERRIDES: ReadonlySet<string> = new Set([
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
])

interface Stream extends AcceptOptions {
  /** Called when a request has come in. */
  readonly hasHead: () => void
  /** True once a request was refused: what follows on the stream is not looked at. */
  isRefused: boolean
}

/** Serves HTTP on the streams to one resource. */
export function createHttpTarget(options: HttpTargetOptions): HttpTarget {
  const limits = { ...HTTP_LIMITS, ...options.limits }
  const effects = options.effects ?? realEffects
  const onFailure = (error: TunnelError, traceId: string) =>
    options.log.info({ traceId, resource: options.rule.resource, code: error.code }, 'http exchange failed')
  const forwarder = createForwarder({ limits, effects, onFailure })
  const streams = new Map<Duplex, Stream>()
  const server = createServer({
    ...HTTP_SERVER_OPTIONS,
    maxHeaderSize: HTTP_SERVER_OPTIONS.maxHeaderSize + HEAD_ROOM.bytes,
  })
  hardenServer(server, effects)
  const upstreamOf = (request: IncomingMessage): Upstream => ({
    connect: options.dial,
    set: ownHeaders(options, request, effects),
    withheld: withheldBy(options, streams.get(request.socket)),
    traceId: traceOf(request, effects).id,
  })
  /** True where the request may go on; else it is answered, or dropped behind one that was refused. */
  const admits = (request: IncomingMessage, response: () => ServerResponse): boolean => {
    const stream = streams.get(request.socket)
    if (stream === undefined || stream.isRefused) return false
    stream.hasHead()
    const denial = denialOf(options, request, limits)
    if (denial === undefined) return true
    stream.isRefused = true
    deny(options, { request, response: response(), denial }, effects)
    return false
  }
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    if (admits(request, () => response)) forwarder.forward(request, response, upstreamOf(request))
  }
  server.on('request', serve)
  server.on('checkContinue', serve)
  server.on('upgrade', (request, socket, head) => {
    if (admits(request, () => responseOn(request, socket))) {
      forwarder.upgrade(request, socket, head, upstreamOf(request))
    } else socket.end()
  })
  return {
    accept(stream, accepted) {
      const cancel = effects.after(FIRST_HEAD_MS, () => stream.destroy(new TunnelError('IDLE')))
      streams.set(stream, { ...accepted, hasHead: cancel, isRefused: false })
      stream.on('error', () => undefined)
      stream.once('close', () => {
        cancel()
        streams.delete(stream)
      })
      server.emit('connection', stream)
    },
    close() {
      for (const stream of streams.keys()) stream.destroy(new TunnelError('DRAINING'))
    },
  }
}

function denialOf(
  { rule }: HttpTargetOptions,
  request: IncomingMessage,
  limits: HttpLimits,
): TunnelError | undefined {
  const fault = requestFault(request, limits.maxHeaders + HEAD_ROOM.headers)
  if (fault !== undefined) return fault
  const line = { method: request.method ?? '', target: request.url ?? '' }
  const denial = requestDenial(rule.http, line)
  return denial === undefined ? undefined : new TunnelError('DENIED_BY_SITE', DENIALS[denial])
}

interface Denied {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly denial: TunnelError
}

function deny(
  { log, rule }: HttpTargetOptions,
  { request, response, denial }: Denied,
  effects: Pick<Effects, 'after' | 'randomBytes'>,
): void {
  const traceId = traceOf(request, effects).id
  log.info({ traceId, resource: rule.resource, code: denial.code }, 'http request denied')
  sendProblem({ request, response }, denial, traceId, effects)
}

/** The target hears the name that the rule gives it, whatever the client asked for. */
function ownHeaders(
  { rule }: HttpTargetOptions,
  request: IncomingMessage,
  effects: Pick<Effects, 'randomBytes'>,
): string[] {
  const host = rule.http?.hostHeader ?? formatHostPort(rule.host.text, rule.port)
  return ['Host', host, 'traceparent', traceOf(request, effects).parent]
}

function withheldBy(
  { rule }: HttpTargetOptions,
  accepted: AcceptOptions | undefined,
): (name: string) => boolean {
  const isNarrowed = (rule.http?.methods.length ?? 0) + (rule.http?.pathPrefixes.length ?? 0) > 0
  const mayClaim = accepted?.fromIngress === true
  return (name) =>
    (isNarrowed && OVERRIDES.has(name)) ||
    (!mayClaim && (name === 'forwarded' || name.startsWith('x-forwarded') || name === 'x-real-ip'))
}
