import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Effects } from '../effects.ts'
import { TunnelError } from '../errors.ts'
import {
  type Exchange,
  failExchange,
  leaveExchange,
  relayAnswer,
  resetConnection,
  watchUpstream,
} from './exchange.ts'
import { answerHeaders, hasBody } from './headers.ts'
import type { HttpLimits } from './limits.ts'
import { responseOn } from './problem.ts'
import { openUpstream, type Upstream } from './upstream.ts'

/** What a client may send before its handshake is answered; it has no reason to send anything. */
const MAX_EARLY_BYTES = 64 * 1024

export interface UpgradeRequest {
  readonly request: IncomingMessage
  /** The client's connection, already taken from its server. */
  readonly socket: Duplex
  /** What the client sent behind the handshake. */
  readonly head: Buffer
  readonly upstream: Upstream
  readonly limits: HttpLimits
  readonly effects: Pick<Effects, 'after'>
  readonly onFailure: (error: TunnelError, traceId: string) => void
}

/**
 * True for the one upgrade that passes. Others (h2c above all) would let requests past every check of this hop;
 * RFC 9110 section 7.8 lets a server ignore them, so a server should treat such a request as a plain one.
 */
export function isWebSocketHandshake(request: IncomingMessage): boolean {
  return (
    request.method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket' && !hasBody(request)
  )
}

/** Carries a WebSocket handshake (RFC 6455 section 4) and then the bytes of both sides, head bytes first. */
export function forwardUpgrade(upgrade: UpgradeRequest): void {
  const { request, socket, upstream, limits } = upgrade
  // Everything but a 101 is an answer like any other.
  const response = responseOn(request, socket)
  const abort = new AbortController()
  const outgoing = openUpstream(request, upstream, {
    upgrade: true,
    signal: abort.signal,
    maxHeaderBytes: limits.maxAnswerHeaderBytes,
  })
  const exchange: Exchange = { ...upgrade, response, outgoing, abort, ...UNANSWERED }
  const cancel = upgrade.effects.after(limits.answerMs, () =>
    failExchange(exchange, new TunnelError('HTTP_ANSWER_TIMEOUT')),
  )
  const takeEarly = readEarly(upgrade, () => leaveExchange(exchange))
  socket.on('error', () => undefined)
  socket.once('close', () => {
    cancel()
    leaveExchange(exchange)
  })
  watchUpstream(exchange)
  outgoing.once('response', (answer) => {
    cancel()
    relayAnswer(exchange, answer)
  })
  outgoing.once('upgrade', (answer, connection, early) => {
    cancel()
    joinAfterHandshake(exchange, { answer, connection, early, socket, takeEarly })
  })
  outgoing.end()
}

const UNANSWERED = { answer: undefined, informational: 0, phase: 'open' as const }

/**
 * Reads on while the target makes up its mind: an end would not be seen otherwise. A client that ends before
 * its handshake is answered has left.
 * @returns stops reading and gives what came so far, the head first
 */
function readEarly({ socket, head }: UpgradeRequest, onLeave: () => void): () => Buffer {
  const chunks = [head]
  let bytes = head.length
  const onData = (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > MAX_EARLY_BYTES) socket.pause()
  }
  const onEnd = () => {
    onLeave()
    socket.destroy()
  }
  socket.on('data', onData).once('end', onEnd)
  return () => {
    socket.off('data', onData).off('end', onEnd).pause()
    return Buffer.concat(chunks)
  }
}

interface Upgraded {
  readonly answer: IncomingMessage
  readonly connection: Duplex
  /** What the target sent behind its 101. */
  readonly early: Buffer
  readonly socket: Duplex
  readonly takeEarly: () => Buffer
}

function joinAfterHandshake(exchange: Exchange, upgraded: Upgraded): void {
  const { answer, connection, early, socket } = upgraded
  connection.on('error', () => undefined)
  if (answer.headers.upgrade?.toLowerCase() !== 'websocket' || exchange.phase !== 'open') {
    connection.destroy()
    failExchange(exchange, new TunnelError('TARGET_RESET', 'The answer changes to another protocol.'))
    return
  }
  exchange.phase = 'answered'
  exchange.response.detachSocket(socket as IncomingMessage['socket'])
  const lines = [`HTTP/1.1 101 ${answer.statusMessage ?? ''}`, 'Connection: Upgrade', 'Upgrade: websocket']
  const headers = answerHeaders(exchange.request, answer)
  for (let i = 0; i + 1 < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  const head = upgraded.takeEarly()
  if (head.length > 0) socket.unshift(head)
  if (early.length > 0) connection.unshift(early)
  join(socket, connection)
}

/** Bytes both ways until both sides have ended; a side that breaks breaks the other too. */
function join(one: Duplex, other: Duplex): void {
  resetTogether(one, other)
  resetTogether(other, one)
  one.pipe(other)
  other.pipe(one)
}

function resetTogether(from: Duplex, to: Duplex): void {
  from.once('close', () => {
    const isWhole = from.readableEnded && from.writableFinished
    if (!isWhole && !to.destroyed)
      resetConnection(to, new TunnelError('TARGET_RESET', 'The other side broke off.'))
  })
}
