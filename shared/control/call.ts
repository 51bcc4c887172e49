import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { TunnelError } from '../errors.ts'
import { decodeResponse, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, PATH_PREFIX, readBody } from './message.ts'
import { shortPath } from './path.ts'

export interface CallOptions {
  readonly signal: AbortSignal
  /** For the whole call, in ms; 10,000 by default. */
  readonly timeoutMs?: number
}

/**
 * Calls a method of the process that answers at `path` (from `controlPath`). The result comes from outside this
 * process: check its form where it matters.
 * @param params anything JSON can hold, 64 KiB at most
 * @throws {TunnelError} NOT_RUNNING where nobody answers, PERMISSIONS where the socket is another user's, PROTOCOL or
 * INTERNAL where the answer is wrong or late, and whatever the method itself failed with
 */
export async function callControl(
  path: string,
  method: string,
  params: unknown,
  { signal, timeoutMs = 10_000 }: CallOptions,
): Promise<unknown> {
  signal.throwIfAborted()
  const body = Buffer.from(JSON.stringify(params ?? {}))
  if (body.length > MAX_REQUEST_BYTES) {
    throw new TunnelError('USAGE', `The command's parameters are longer than ${MAX_REQUEST_BYTES} bytes.`)
  }
  const deadline = AbortSignal.timeout(timeoutMs)
  try {
    await using short = await shortPath(path)
    const request = httpRequest({
      socketPath: short.path,
      path: PATH_PREFIX + method,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': body.length },
      agent: false,
      signal: AbortSignal.any([signal, deadline]),
    })
    try {
      const response = await exchange(request, body)
      return decodeResponse(await readBody(response, MAX_RESPONSE_BYTES))
    } finally {
      request.destroy()
    }
  } catch (error) {
    signal.throwIfAborted()
    if (deadline.aborted) {
      throw new TunnelError('INTERNAL', `The running process did not answer within ${timeoutMs} ms.`, {
        next: 'look at the log of the running process',
      })
    }
    throw explain(error)
  }
}

function exchange(request: ClientRequest, body: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve)
    request.on('error', reject)
    request.end(body)
  })
}

function explain(error: unknown): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ECONNREFUSED':
      return new TunnelError('NOT_RUNNING', '', { cause: error })
    case 'EACCES':
    case 'EPERM':
      return new TunnelError('PERMISSIONS', 'The running process belongs to another user.', {
        cause: error,
        next: 'run this command as that user',
      })
    case 'ECONNRESET':
    case 'EPIPE':
      return new TunnelError('NOT_RUNNING', 'It ended while it was being asked.', { cause: error })
    default:
      return error
  }
}
