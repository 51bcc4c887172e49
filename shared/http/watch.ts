import { type ErrorCode, TunnelError } from '../errors.ts'
import { type Exchange, failExchange } from './exchange.ts'
import { wantsContinue } from './headers.ts'

/** What an exchange waits for, and how long it may. */
interface Stage {
  readonly waitsFor: 'request' | 'target' | 'answer' | 'client' | 'nothing'
  readonly limitMs: number
  readonly code: ErrorCode
}

/**
 * Ends the exchange when it waits for one and the same thing without a byte moving. Waiting for the next byte
 * of an answer that has begun is no fault: event streams and long downloads live.
 */
export function watchExchange(exchange: Exchange): void {
  const moved = countBytes(exchange)
  let cancel = () => {}
  let seen = ''
  const look = () => {
    const stage = stageOf(exchange)
    const now = `${stage.waitsFor} ${moved()}`
    if (now === seen && stage.waitsFor !== 'nothing') {
      failExchange(exchange, new TunnelError(stage.code))
      return
    }
    seen = now
    cancel = exchange.effects.after(stage.limitMs, look)
  }
  exchange.response.once('close', () => cancel())
  look()
}

/** Bytes of both bodies so far. */
function countBytes(exchange: Exchange): () => number {
  let bytes = 0
  const count = (chunk: Buffer) => {
    bytes += chunk.length
  }
  exchange.request.on('data', count)
  exchange.outgoing.once('response', (answer) => answer.on('data', count))
  return () => bytes
}

function stageOf(exchange: Exchange): Stage {
  const { request, response, outgoing, limits } = exchange
  if (response.headersSent) {
    const waitsFor = response.writableNeedDrain ? 'client' : 'nothing'
    return { waitsFor, limitMs: limits.stallMs, code: 'HTTP_REQUEST_TIMEOUT' }
  }
  if (request.complete) return { waitsFor: 'answer', limitMs: limits.answerMs, code: 'HTTP_ANSWER_TIMEOUT' }
  const isHeldBack = outgoing.writableNeedDrain || (wantsContinue(request) && exchange.informational === 0)
  return isHeldBack
    ? { waitsFor: 'target', limitMs: limits.answerMs, code: 'HTTP_ANSWER_TIMEOUT' }
    : { waitsFor: 'request', limitMs: limits.requestIdleMs, code: 'HTTP_REQUEST_TIMEOUT' }
}
