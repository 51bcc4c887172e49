import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { sendProblem } from '../../shared/http/problem.ts'
import {
  ENROLL_PATH,
  ENROLLMENT_BODY_MAX_BYTES,
  RENEW_PATH,
} from '../../shared/identity/enrollment-messages.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { enroll, renew } from '../authority/enroll.ts'
import { DEFAULT_TENANT } from '../store/store.ts'

/** How a caller proves who it is. Every route and upgrade path names one; there is no default. */
export type Authentication = 'none' | 'join token in the body' | 'agent certificate' | 'connector certificate'

interface Route {
  readonly method: 'GET' | 'POST'
  readonly authentication: Authentication
  readonly answer: (context: AuthorityContext, request: IncomingMessage) => Promise<object>
}

/** Everything that the relay answers under its own name. */
export const ROUTES: ReadonlyMap<string, Route> = new Map([
  ['/healthz', { method: 'GET', authentication: 'none', answer: async () => ({ status: 'ok' }) }],
  [
    ENROLL_PATH,
    {
      method: 'POST',
      authentication: 'join token in the body',
      answer: async (context, request) =>
        enroll(context, await readJson(request), {
          tenantId: DEFAULT_TENANT,
          sourceAddress: request.socket.remoteAddress ?? '',
        }),
    },
  ],
  [
    RENEW_PATH,
    {
      method: 'POST',
      authentication: 'agent certificate',
      answer: async (context, request) => renew(context, await readJson(request), peerOf(request)),
    },
  ],
] as const satisfies readonly (readonly [string, Route])[])

/** The paths that become tunnels, and who may. */
export const UPGRADES: ReadonlyMap<string, 'agent' | 'connector'> = new Map([
  ['/v1/agent', 'agent'],
  ['/v1/connector', 'connector'],
])

/** The certificate of the connection's other end and what TLS said of it. */
export function peerOf(request: IncomingMessage): {
  certificate: ReturnType<TLSSocket['getPeerX509Certificate']>
  authorized: boolean
} {
  const socket = request.socket as TLSSocket
  return { certificate: socket.getPeerX509Certificate(), authorized: socket.authorized }
}

/** Answers a request under the relay's own name. Never throws. */
export async function answerRoute(
  context: AuthorityContext,
  request: IncomingMessage,
  response: ServerResponse,
  traceId: string,
): Promise<void> {
  try {
    const route = ROUTES.get(request.url ?? '')
    if (route === undefined || route.method !== request.method) throw new TunnelError('NOT_FOUND')
    const body = `${JSON.stringify(await route.answer(context, request))}\n`
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
    })
    response.end(body)
  } catch (cause) {
    const error = isTunnelError(cause) ? cause : new TunnelError('INTERNAL', '', { cause })
    sendProblem({ request, response }, error, traceId, context.effects)
  }
}

/** @throws {TunnelError} HTTP_BAD_REQUEST where the body is too long or no JSON */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > ENROLLMENT_BODY_MAX_BYTES) throw new TunnelError('HTTP_BAD_REQUEST', 'The body is too long.')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (cause) {
    throw new TunnelError('HTTP_BAD_REQUEST', 'The body is no JSON.', { cause })
  }
}
