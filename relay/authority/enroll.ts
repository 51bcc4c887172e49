import { createHash, type X509Certificate } from 'node:crypto'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { verifyCsr } from '../../shared/identity/csr.ts'
import {
  type EnrollResponse,
  enrollRequestSchema,
  type RenewResponse,
  renewRequestSchema,
} from '../../shared/identity/enrollment-messages.ts'
import { fingerprint } from '../../shared/identity/keys.ts'
import { formatId, type Subject } from '../../shared/identity/subject.ts'
import type { Act } from '../audit/record.ts'
import { issueClientCertificate } from './client-certificate.ts'
import type { AuthorityContext } from './context.ts'
import { identify } from './identify.ts'

/** How a token is kept and looked up: the store never sees the token. */
export function hashToken(token: Uint8Array): Buffer {
  return createHash('sha256').update(token).digest()
}

/** Where a request came from, for the record. */
export interface RequestOrigin {
  /** IP address. */
  readonly sourceAddress: string
  /** 32 hexadecimal digits. */
  readonly traceId: string
}

/**
 * Answers `POST /v1/enroll`: spends the token for a new agent whose key signed the request. The token says of which
 * tenant and site.
 *
 * @param body the parsed JSON, not yet checked
 * @throws {TunnelError} HTTP_BAD_REQUEST, JOIN_TOKEN, IDENTITY (the certificate request is not right), STORE
 */
export async function enroll(
  context: AuthorityContext,
  body: unknown,
  origin: RequestOrigin,
): Promise<EnrollResponse> {
  const request = parseBody(enrollRequestSchema, body)
  const tokenHash = hashToken(Buffer.from(request.token, 'base64url'))
  const { store, effects, authority } = context
  // Who has no token must not make us verify and sign. The decision falls below, in the transaction.
  const tenantId = await store.relay.tenantOfJoinToken(tokenHash)
  if (tenantId === undefined || context.closed.has(tenantId)) throw new TunnelError('JOIN_TOKEN')
  if (!(await store.isJoinTokenOpen(tenantId, tokenHash, effects.date()))) {
    throw new TunnelError('JOIN_TOKEN')
  }
  const key = await verifyCsr(request.csr)
  const subject: Subject = {
    kind: 'agent',
    tenantId,
    id: formatId(effects.randomBytes(16)),
  }
  const issued = await issueClientCertificate(authority, key, subject, context.agentLifetimeMs, effects)
  const act = actOf(subject, origin, effects.date())
  const agent = {
    ...issued.record,
    id: subject.id,
    createdAt: act.at,
    version: request.version,
    instance: request.instance,
    sourceAddress: origin.sourceAddress,
  }
  const site = await store.enrollAgent(tenantId, tokenHash, agent, act)
  return {
    agentId: subject.id,
    tenant: subject.tenantId,
    site,
    certificate: issued.pem,
    lifetimeMs: issued.lifetimeMs,
    fingerprint: issued.record.fingerprint,
    generation: 1,
  }
}

/** The client certificate of a connection, and what TLS said about it. */
export interface Peer {
  readonly certificate: X509Certificate | undefined
  readonly authorized: boolean
}

/**
 * Answers `POST /v1/renew`: the next certificate for the agent or connector that presents its present one, with a fresh key.
 *
 * @param body the parsed JSON, not yet checked
 * @throws {TunnelError} HTTP_BAD_REQUEST, IDENTITY, REVOKED, EXPIRED, STORE
 */
export async function renew(
  context: AuthorityContext,
  body: unknown,
  peer: Peer,
  origin: RequestOrigin,
): Promise<RenewResponse> {
  const known = () => identify(context, peer.certificate, peer.authorized, origin.sourceAddress)
  const principal = await known()
  const request = parseBody(renewRequestSchema, body)
  const key = await verifyCsr(request.csr)
  if (peer.certificate !== undefined && fingerprint(peer.certificate) === fingerprint(key)) {
    throw new TunnelError('IDENTITY', 'A renewal needs a fresh key.')
  }
  const { store, effects, authority } = context
  const { kind, tenantId, id, serial } = principal
  const subject: Subject = { kind, tenantId, id }
  const lifetimeMs = kind === 'agent' ? context.agentLifetimeMs : context.connectorLifetimeMs
  const issued = await issueClientCertificate(authority, key, subject, lifetimeMs, effects)
  const act = actOf(subject, origin, effects.date())
  const generation =
    kind === 'agent'
      ? await store.renewAgent(tenantId, id, serial, issued.record, act)
      : await store.renewConnector(tenantId, id, serial, issued.record, act)
  // It was revoked or renewed by another in the meantime; both are found by asking again.
  if (generation === undefined) {
    await known()
    throw new TunnelError('IDENTITY', 'It was renewed by another at the same time.')
  }
  return {
    certificate: issued.pem,
    lifetimeMs: issued.lifetimeMs,
    fingerprint: issued.record.fingerprint,
    generation,
  }
}

function actOf({ kind, id }: Subject, { sourceAddress, traceId }: RequestOrigin, at: number): Act {
  return { actor: { kind, id }, source: sourceAddress, traceId, at }
}

function parseBody<T extends v.GenericSchema>(schema: T, body: unknown): v.InferOutput<T> {
  const parsed = v.safeParse(schema, body, { abortEarly: true })
  if (parsed.success) return parsed.output
  // The field only: the value may be a token.
  const field = v.getDotPath(parsed.issues[0] as v.BaseIssue<unknown>) ?? '(all)'
  throw new TunnelError('HTTP_BAD_REQUEST', `The field ${field} is not right.`)
}
