import { type IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Effects } from '../effects.ts'
import { type Actor, type ErrorCode, errorEntry, type Leg, type TunnelError } from '../errors.ts'

/** A problem document (RFC 9457) with what a person needs to go on. */
export interface Problem {
  /** `urn:sallyport:problem:CODE`: the one member to match on, together with `code`. */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ErrorCode
  readonly leg: Leg
  readonly detail: string
  readonly actor: Actor
  readonly next: string
  /** 32 hex digits, the same in the logs of every leg. */
  readonly traceId: string
  /** Of bad input: the member that is not right, and what it has to keep to. */
  readonly field?: string
  readonly rule?: string
}

/** One request and the means to answer it. */
export interface RequestAndResponse {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/** Longest wait for the rest of a request that was refused, in milliseconds: then the connection closes. */
const LINGER_MS = 1_000

/** The document that tells of `error`. Its cause never leaves the process. */
export function problemOf(error: TunnelError, traceId: string): Problem {
  const entry = errorEntry(error.code)
  return {
    type: `urn:sallyport:problem:${error.code}`,
    title: entry.text,
    status: entry.http,
    code: error.code,
    leg: error.leg,
    detail: error.detail,
    actor: entry.actor,
    next: error.next,
    traceId,
    ...(error.field === undefined ? {} : { field: error.field }),
    ...(error.rule === undefined ? {} : { rule: error.rule }),
  }
}

/**
 * Answers with a problem document and closes the connection: what follows a failed request on the same
 * connection is not to be trusted to begin where it seems to. Of a body still on its way up to one second is
 * thrown away first, because closing on unread bytes would make the client lose the answer.
 */
export function sendProblem(
  { request, response }: RequestAndResponse,
  error: TunnelError,
  traceId: string,
  effects: Pick<Effects, 'after'>,
): void {
  const { body, headers } = document(error, traceId)
  response.writeHead(errorEntry(error.code).http, headers)
  if (request.complete || request.destroyed) {
    response.end(body)
    return
  }
  response.write(body)
  const cancel = effects.after(LINGER_MS, () => response.end())
  const finish = () => {
    cancel()
    response.end()
  }
  request.once('end', finish).once('close', finish).resume()
}

/** The same on a bare connection that has carried no answer yet; its sending side is ended. */
export function writeProblem(socket: Duplex, error: TunnelError, traceId: string): void {
  const { body, headers } = document(error, traceId)
  const status = errorEntry(error.code).http
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`]
  for (let i = 0; i + 1 < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}

/** A response for a connection that node:http has already given away for an upgrade; it is closed at the end. */
export function responseOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket as IncomingMessage['socket'])
  // The server does this for its own connections; this one it has let go.
  const onDrain = () => response.emit('drain')
  socket.on('drain', onDrain)
  response.once('finish', () => {
    socket.off('drain', onDrain)
    response.detachSocket(socket as IncomingMessage['socket'])
    socket.end()
  })
  return response
}

function document(error: TunnelError, traceId: string): { body: string; headers: string[] } {
  const entry = errorEntry(error.code)
  const body = `${JSON.stringify(problemOf(error, traceId))}\n`
  const headers = ['Content-Type', 'application/problem+json', 'Content-Length', `${Buffer.byteLength(body)}`]
  headers.push('Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff', 'Connection', 'close')
  if (entry.retryable && entry.http >= 429) headers.push('Retry-After', '1')
  return { body, headers }
}
