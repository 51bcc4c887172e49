import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Effects } from '../effects.ts'
import { TunnelError } from '../errors.ts'
import { answerHeaders, endToEnd, endToEndTrailers, wantsContinue } from './headers.ts'
import type { HttpLimits } from './limits.ts'
import { sendProblem } from './problem.ts'
import { tunnelErrorOf, type Upstream } from './upstream.ts'

/** One request on its way through: from its first header to the last byte of the answer. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly upstream: Upstream
  readonly outgoing: ClientRequest
  /** Aborts the opening of the connection when the client left. */
  readonly abort: AbortController
  readonly limits: HttpLimits
  readonly effects: Pick<Effects, 'after'>
  readonly onFailure: (error: TunnelError, traceId: string) => void
  answer: IncomingMessage | undefined
  /** Answers with a 1xx status so far. */
  informational: number
  /** `answered`: the whole answer was read; `over`: it failed or the client left. */
  phase: 'open' | 'answered' | 'over'
}

/** Milliseconds for the rest of a request whose answer is already complete, and for the next hop to close. */
const LINGER_MS = 5_000
/** More of them than this is not a hint but a flood. */
const MAX_INFORMATIONAL = 16

/** Hears of every way in which the next hop can fail. */
export function watchUpstream(exchange: Exchange): void {
  const { outgoing } = exchange
  outgoing.on('error', (error) => {
    // An answer that is whole stays good, even if the target then broke the rest of the upload off.
    if (exchange.answer?.complete !== true) failExchange(exchange, error)
  })
  // A 101 that nobody asked for ends without an `error`.
  outgoing.once('close', () => {
    if (exchange.answer === undefined)
      failExchange(exchange, new TunnelError('TARGET_RESET', 'No answer came.'))
  })
}

/** Passes 100 (to a client that waits for it), 102, 103 and the like on to the client. */
export function relayInformation(
  exchange: Exchange,
  information: { statusCode: number; rawHeaders: string[] },
): void {
  const { request, response } = exchange
  if (++exchange.informational > MAX_INFORMATIONAL) {
    failExchange(exchange, new TunnelError('TARGET_RESET', 'Too many informational answers.'))
    return
  }
  if (response.headersSent || request.httpVersion !== '1.1') return
  if (information.statusCode === 100) {
    if (wantsContinue(request)) response.writeContinue()
    return
  }
  // Since Node 24.18; before it, hints are lost and nothing else.
  response.writeInformation?.(
    information.statusCode,
    endToEnd(information.rawHeaders, () => false),
  )
}

/** Passes the answer on: head at once, body with backpressure, trailers, and a reset where it breaks off. */
export function relayAnswer(exchange: Exchange, answer: IncomingMessage): void {
  const { request, response, outgoing, limits } = exchange
  if (exchange.phase !== 'open') return
  if (answer.rawHeaders.length > 2 * limits.maxHeaders) {
    failExchange(exchange, new TunnelError('TARGET_RESET', 'The answer has too many headers.'))
    return
  }
  exchange.answer = answer
  try {
    const head = answerHeaders(request, answer)
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', head)
  } catch (cause) {
    failExchange(exchange, new TunnelError('TARGET_RESET', 'The answer cannot be passed on.', { cause }))
    return
  }
  // A target that has already said no need not read the rest; it often closes, and that must not cost the answer.
  if (response.statusCode >= 300 && !request.complete) request.unpipe(outgoing).resume()
  // `close` tells of the failure, whatever the error is.
  answer.on('error', () => undefined)
  answer.once('end', () => endAnswer(exchange, answer))
  answer.once('close', () => {
    if (!answer.complete) failExchange(exchange, new TunnelError('TARGET_RESET', 'The answer broke off.'))
  })
  answer.pipe(response)
  // The first event of a stream may be minutes away; what is ready goes in one write with the head.
  setImmediate(() => {
    if (!response.writableEnded && !response.destroyed) response.flushHeaders()
  })
}

/** Runs before `pipe` ends the response. */
function endAnswer(exchange: Exchange, answer: IncomingMessage): void {
  if (exchange.phase !== 'open') return
  exchange.phase = 'answered'
  const { request, response, outgoing, effects } = exchange
  if (answer.rawTrailers.length > 0) response.addTrailers(endToEndTrailers(answer.rawTrailers, () => false))
  if (!request.complete) {
    request.unpipe(outgoing)
    request.resume()
    effects.after(LINGER_MS, () => {
      if (!request.complete) request.destroy()
    })
  }
  const cancel = effects.after(LINGER_MS, () => outgoing.destroy())
  outgoing.once('close', cancel)
}

/**
 * Ends an exchange that cannot go on: by a problem document where no answer has begun, else by a reset, so
 * that half an answer is never taken for a whole one.
 */
export function failExchange(exchange: Exchange, cause: unknown): void {
  if (exchange.phase !== 'open') return
  exchange.phase = 'over'
  const { request, response, outgoing, upstream } = exchange
  const error = tunnelErrorOf(cause)
  exchange.abort.abort(error)
  exchange.onFailure(error, upstream.traceId)
  request.unpipe(outgoing)
  outgoing.destroy(error)
  if (response.destroyed) return
  if (response.headersSent) resetResponse(response, error)
  else sendProblem(exchange, error, upstream.traceId, exchange.effects)
}

/** The client left: what was opened for it is given up. */
export function leaveExchange(exchange: Exchange): void {
  if (exchange.phase !== 'open') return
  exchange.phase = 'over'
  const error = new TunnelError('CANCELLED', 'The client closed the connection.')
  exchange.abort.abort(error)
  exchange.outgoing.destroy(error)
}

function resetResponse(response: ServerResponse, error: TunnelError): void {
  if (response.socket === null) response.destroy(error)
  else resetConnection(response.socket, error)
}

/**
 * Breaks a connection so that the peer can tell it from an end: TCP gets RST, a tunnel stream `error`'s code.
 * A socket whose sending side is already ended is only closed: libuv refuses to reset it while the FIN is on
 * its way, and Node then never closes the descriptor at all.
 */
export function resetConnection(connection: Duplex, error: TunnelError): void {
  const isPlainTcp = connection instanceof Socket && !('encrypted' in connection)
  if (isPlainTcp && !connection.writableEnded) connection.resetAndDestroy()
  else connection.destroy(error)
}
