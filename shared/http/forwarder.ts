import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Effects, realEffects } from '../effects.ts'
import type { TunnelError } from '../errors.ts'
import { type Exchange, leaveExchange, relayAnswer, relayInformation, watchUpstream } from './exchange.ts'
import { endToEndTrailers, hasBody } from './headers.ts'
import { HTTP_LIMITS, type HttpLimits } from './limits.ts'
import { sendProblem } from './problem.ts'
import { forwardUpgrade } from './upgrade.ts'
import { openUpstream, tunnelErrorOf, type Upstream } from './upstream.ts'
import { watchExchange } from './watch.ts'

export type { Upstream } from './upstream.ts'

/** Carries requests that have passed `requestFault` to the next hop, and the answers back. */
export interface Forwarder {
  /** Answers `request` by `response` in every case: by the answer of the next hop or a problem document. */
  forward(request: IncomingMessage, response: ServerResponse, upstream: Upstream): void
  /**
   * Passes a WebSocket handshake on and joins the two connections when it succeeds. Takes over `socket`;
   * `head` is what the client has already sent behind the handshake.
   */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, upstream: Upstream): void
}

export interface ForwarderOptions {
  readonly limits?: Partial<HttpLimits>
  readonly effects?: Pick<Effects, 'after'>
  /** Told of each failed exchange, before the client is. */
  readonly onFailure?: (error: TunnelError, traceId: string) => void
}

/** Forwards over node:http; docs/decisions/0003-http-forwarding.md says why no library does it. */
export function createForwarder(options: ForwarderOptions = {}): Forwarder {
  const settings = {
    limits: { ...HTTP_LIMITS, ...options.limits },
    effects: options.effects ?? realEffects,
    onFailure: options.onFailure ?? (() => undefined),
  }
  return {
    forward(request, response, upstream) {
      const abort = new AbortController()
      const { maxAnswerHeaderBytes: maxHeaderBytes } = settings.limits
      let outgoing: Exchange['outgoing']
      try {
        outgoing = openUpstream(request, upstream, { upgrade: false, signal: abort.signal, maxHeaderBytes })
      } catch (cause) {
        const error = tunnelErrorOf(cause)
        settings.onFailure(error, upstream.traceId)
        sendProblem({ request, response }, error, upstream.traceId, settings.effects)
        return
      }
      const rest = { answer: undefined, informational: 0, phase: 'open' as const }
      run({ ...settings, ...rest, request, response, upstream, outgoing, abort })
    },
    upgrade(request, socket, head, upstream) {
      forwardUpgrade({ ...settings, request, socket, head, upstream })
    },
  }
}

function run(exchange: Exchange): void {
  const { request, response, outgoing } = exchange
  outgoing.on('information', (information) => relayInformation(exchange, information))
  outgoing.once('response', (answer) => relayAnswer(exchange, answer))
  watchUpstream(exchange)
  response.once('close', () => leaveExchange(exchange))
  response.on('error', () => undefined)
  watchExchange(exchange)
  sendBody(request, exchange)
}

function sendBody(request: IncomingMessage, { outgoing, upstream }: Exchange): void {
  if (!hasBody(request)) {
    request.resume()
    outgoing.end()
    return
  }
  // Runs before `pipe` ends the outgoing request.
  request.once('end', () => {
    const trailers = endToEndTrailers(request.rawTrailers, upstream.withheld)
    if (trailers.length > 0) outgoing.addTrailers(trailers)
  })
  request.pipe(outgoing)
  // The body may be long in coming, while the target could already answer.
  setImmediate(() => {
    if (!outgoing.writableEnded && !outgoing.destroyed) outgoing.flushHeaders()
  })
}
