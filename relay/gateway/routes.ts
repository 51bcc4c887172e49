import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { SIGNED_AGENT_PATH } from '../../shared/handshake/signed-hello.ts'
import { sendProblem } from '../../shared/http/problem.ts'
import {
  ENROLL_PATH,
  ENROLLMENT_BODY_MAX_BYTES,
  type EnrollResponse,
  RENEW_PATH,
} from '../../shared/identity/enrollment-messages.ts'
import { OFFER_PATH, SEALED_PATH } from '../../shared/identity/sealed-request.ts'
import { sourceAddress } from '../../shared/tunnel/source-address.ts'
import { type Audit, RELAY_CHAIN } from '../audit/record.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { enroll, type RequestOrigin, renew } from '../authority/enroll.ts'
import type { Principal } from '../authority/identify.ts'
import { DISCOVERY_PATH, discovery } from '../machines/discovery.ts'
import type { MachineTokens } from '../machines/tokens.ts'
import type { Admission } from './admission.ts'
import type { SealedRequests } from './sealed.ts'

/** How a caller proves who it is. Every route and upgrade path names one; there is no default. */
export type Authentication =
  | 'none'
  | 'join token in the body'
  | 'agent or connector certificate'
  /** As for the path inside, with a signature in the place of the certificate that TLS would have seen. */
  | 'sealed in the body'

export interface RouteContext {
  readonly authority: AuthorityContext
  readonly admission: Pick<Admission, 'takeEnrollment'>
  readonly sealed: SealedRequests
  readonly machineTokens: Pick<MachineTokens, 'issuer'>
  readonly effects: Pick<Effects, 'after'>
  readonly audit: Audit
  /** How long the body of a request may take, in ms. */
  readonly bodyMs: number
}

interface Route {
  readonly method: 'GET' | 'POST'
  readonly authentication: Authentication
  readonly answer: (context: RouteContext, request: IncomingMessage, traceId: string) => Promise<object>
}

/** Everything that the relay answers under its own name. */
export const ROUTES: ReadonlyMap<string, Route> = new Map([
  [
    DISCOVERY_PATH,
    { method: 'GET', authentication: 'none', answer: async ({ machineTokens }) => discovery(machineTokens) },
  ],
  ['/healthz', { method: 'GET', authentication: 'none', answer: async () => ({ status: 'ok' }) }],
  [
    ENROLL_PATH,
    {
      method: 'POST',
      authentication: 'join token in the body',
      answer: async (context, request, traceId) => {
        const origin = originOf(request, traceId)
        // Before the body: who asks too often has no claim on being read.
        takeEnrollment(context, origin)
        return enrollHere(context, await readJson(context, request), origin)
      },
    },
  ],
  [
    RENEW_PATH,
    {
      method: 'POST',
      authentication: 'agent or connector certificate',
      answer: async (context, request, traceId) =>
        renew(
          context.authority,
          await readJson(context, request),
          peerOf(request),
          originOf(request, traceId),
        ),
    },
  ],
  [OFFER_PATH, { method: 'GET', authentication: 'none', answer: async (context) => context.sealed.offer() }],
  [
    SEALED_PATH,
    {
      method: 'POST',
      authentication: 'sealed in the body',
      answer: async (context, request, traceId) => {
        const origin = originOf(request, traceId)
        return context.sealed.answer(await readJson(context, request), traceId, async ({ body, peer }) => {
          if (peer !== undefined) return renew(context.authority, body, peer, origin)
          takeEnrollment(context, origin)
          return enrollHere(context, body, origin)
        })
      },
    },
  ],
] as const satisfies readonly (readonly [string, Route])[])

function originOf(request: IncomingMessage, traceId: string): RequestOrigin {
  return { sourceAddress: sourceAddress(request.socket), traceId }
}

/** @throws {TunnelError} ENHANCE_CALM */
function takeEnrollment({ admission }: RouteContext, { sourceAddress }: RequestOrigin): void {
  if (!admission.takeEnrollment(sourceAddress)) throw new TunnelError('ENHANCE_CALM')
}

function enrollHere(context: RouteContext, body: unknown, origin: RequestOrigin): Promise<EnrollResponse> {
  return enroll(context.authority, body, origin).catch((error: unknown) => {
    noteRefusal(context, error, { source: origin.sourceAddress, traceId: origin.traceId })
    throw error
  })
}

/** Nobody knows whose a token is that does not hold. */
function noteRefusal(
  { audit }: RouteContext,
  error: unknown,
  origin: { readonly source: string; readonly traceId: string },
): void {
  const outcome = isTunnelError(error) ? error.code : 'INTERNAL'
  const actor = { kind: 'nobody', id: '' } as const
  audit({ ...origin, tenantId: RELAY_CHAIN, actor, action: 'agent.enroll', object: '', outcome })
}

/** A path that is upgraded: who may, and what becomes of the connection. */
type UpgradePath =
  /** The client certificate says who. */
  | { readonly kind: Principal['kind'] | 'either'; readonly use: 'session' | 'link' | 'idle' }
  /** The greeting says who, by a signature. */
  | { readonly kind: 'agent'; readonly use: 'signed' }

export const UPGRADES: ReadonlyMap<string, UpgradePath> = new Map([
  ['/v1/agent', { kind: 'agent', use: 'session' }],
  [SIGNED_AGENT_PATH, { kind: 'agent', use: 'signed' }],
  ['/v1/connector', { kind: 'connector', use: 'session' }],
  ['/v1/link', { kind: 'either', use: 'link' }],
  ['/v1/idle', { kind: 'agent', use: 'idle' }],
])

/** The certificate of the connection's other end and what TLS said of it. */
export function peerOf(request: IncomingMessage): {
  certificate: ReturnType<TLSSocket['getPeerX509Certificate']>
  authorized: boolean
} {
  const socket = request.socket as TLSSocket
  return { certificate: socket.getPeerX509Certificate(), authorized: socket.authorized }
}

/**
 * Answers a request under the relay's own name and closes the connection: who calls here calls once, and may not stay
 * without having proved anything. Never throws.
 */
export async function answerRoute(
  context: RouteContext,
  request: IncomingMessage,
  response: ServerResponse,
  traceId: string,
): Promise<void> {
  try {
    const route = ROUTES.get(request.url ?? '')
    if (route === undefined || route.method !== request.method) throw new TunnelError('NOT_FOUND')
    const body = `${JSON.stringify(await route.answer(context, request, traceId))}\n`
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      connection: 'close',
    })
    response.end(body)
  } catch (cause) {
    const error = isTunnelError(cause) ? cause : new TunnelError('INTERNAL', '', { cause })
    sendProblem({ request, response }, error, traceId, context.effects)
  }
}

/** @throws {TunnelError} HTTP_BAD_REQUEST where the body is too long or no JSON; HTTP_REQUEST_TIMEOUT */
async function readJson(context: RouteContext, request: IncomingMessage): Promise<unknown> {
  const late = Promise.withResolvers<never>()
  const cancel = context.effects.after(context.bodyMs, () =>
    late.reject(new TunnelError('HTTP_REQUEST_TIMEOUT')),
  )
  const text = await Promise.race([readText(request), late.promise]).finally(cancel)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new TunnelError('HTTP_BAD_REQUEST', 'The body is no JSON.', { cause })
  }
}

function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= ENROLLMENT_BODY_MAX_BYTES) chunks.push(chunk)
      else reject(new TunnelError('HTTP_BAD_REQUEST', 'The body is too long.'))
    })
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    request.on('error', reject)
  })
}
