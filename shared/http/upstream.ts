import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ErrorCode, isTunnelError, TunnelError } from '../errors.ts'
import { type RawHeaders, requestHeaders } from './headers.ts'

/** The next hop of one exchange. */
export interface Upstream {
  /**
   * Opens the connection. Each exchange asks once and has the connection for itself: no answer of one request
   * can reach another. The Duplex takes writes at once and is destroyed with a TunnelError when it fails.
   * `signal` aborts when the client left.
   */
  readonly connect: (signal: AbortSignal) => Duplex | Promise<Duplex>
  /** Headers this side answers for, Host among them, names and values in turn; they replace the sender's. */
  readonly set: RawHeaders
  /** True for a name (lower case, "_" as "-") that may not pass from the sender, as header or trailer. */
  readonly withheld: (name: string) => boolean
  /** Trace of the exchange, 32 hex digits. */
  readonly traceId: string
}

const CODE_OF_SYSTEM_ERROR: Readonly<Record<string, ErrorCode>> = {
  ECONNREFUSED: 'CONNECTION_REFUSED',
  EHOSTUNREACH: 'UNREACHABLE',
  ENETUNREACH: 'UNREACHABLE',
  ENOTFOUND: 'DNS',
  EAI_AGAIN: 'DNS',
  ETIMEDOUT: 'CONNECT_TIMEOUT',
}

/** Starts the request to the next hop. Failures of any kind come as its `error` event. */
export function openUpstream(
  request: IncomingMessage,
  upstream: Upstream,
  options: { readonly upgrade: boolean; readonly signal: AbortSignal; readonly maxHeaderBytes: number },
): ClientRequest {
  let release = () => {}
  const guard = (connection: Duplex): Duplex => {
    release = guardEarly(connection, (error) => outgoing.destroy(error))
    return connection
  }
  const outgoing: ClientRequest = httpRequest({
    method: request.method,
    path: request.url,
    headers: requestHeaders(request, { ...upstream, upgrade: options.upgrade }),
    maxHeaderSize: options.maxHeaderBytes,
    insecureHTTPParser: false,
    // With createConnection and no agent node:http takes a new connection and closes it behind the answer.
    createConnection: (_options, done) => {
      const opened = upstream.connect(options.signal)
      if (!(opened instanceof Promise)) return guard(opened)
      opened.then(
        (connection) => done(null, guard(connection)),
        (error: Error) => done(error, undefined as unknown as Duplex),
      )
      return undefined
    },
  })
  outgoing.once('socket', () => release())
  // An answer with more headers than the limit must fail; node's own limit would drop the rest in silence.
  outgoing.maxHeadersCount = 0
  return outgoing
}

/**
 * node:http listens on a connection from the next tick on. One that fails before that (no agent is connected)
 * would end the process with an unheard `error` event.
 * @returns takes the listeners off again
 */
function guardEarly(connection: Duplex, fail: (error: Error) => void): () => void {
  const onClose = () => fail(new TunnelError('TARGET_RESET', 'The connection closed before it was used.'))
  connection.once('error', fail).once('close', onClose)
  return () => connection.off('error', fail).off('close', onClose)
}

/** What a failed exchange is called: the tunnel's own error where there is one. */
export function tunnelErrorOf(error: unknown): TunnelError {
  if (isTunnelError(error)) return error
  const systemCode = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (systemCode === 'HPE_HEADER_OVERFLOW') {
    return new TunnelError('TARGET_RESET', 'The headers of the answer are too large.', { cause: error })
  }
  if (systemCode.startsWith('HPE_')) {
    return new TunnelError('TARGET_RESET', `The answer is not valid HTTP/1.1 (${systemCode}).`, {
      cause: error,
    })
  }
  const code = CODE_OF_SYSTEM_ERROR[systemCode] ?? 'TARGET_RESET'
  const detail = code === 'TARGET_RESET' ? 'The connection ended before the answer did.' : ''
  return new TunnelError(code, detail, { cause: error })
}
