import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { decodeTokenNotice } from '../../shared/handshake/token-notice.ts'
import { headerValues } from '../../shared/http/headers.ts'
import type { Logger } from '../../shared/log.ts'
import { Secret } from '../../shared/secret.ts'
import type { AuthorityContext } from '../authority/context.ts'
import type { Principal } from '../authority/identify.ts'
import type { LiveSession, Sessions } from '../gateway/sessions.ts'
import type { MachineTokens } from './tokens.ts'

/** What tells whose a token of a connector is. */
export interface SessionTokens {
  readonly authority: Pick<AuthorityContext, 'store' | 'closed'>
  readonly machineTokens: Pick<MachineTokens, 'verify' | 'issuer'>
}

/** The token in the head of an upgrade; undefined for none. @throws {TunnelError} IDENTITY where it has no form */
export function upgradeToken(request: IncomingMessage): Secret<string> | undefined {
  const [header, second] = headerValues(request.rawHeaders, 'authorization')
  if (header === undefined) return undefined
  const token = /^bearer ([\w.~+/=-]{1,4096})$/i.exec(header)?.[1]
  if (token !== undefined && second === undefined) return new Secret(token)
  throw new TunnelError('IDENTITY', 'Authorization takes Bearer and a token.')
}

/**
 * Finds out which connector brings a token, which must be bound to the certificate that it shows. To be asked at every
 * connect, as `identify` is.
 * @throws {TunnelError} IDENTITY where the token does not hold or its owner is unknown; REVOKED
 */
export async function identifyByToken(
  { authority, machineTokens }: SessionTokens,
  token: Secret<string>,
  certificate: X509Certificate | undefined,
): Promise<Principal> {
  const verified = await machineTokens.verify('connector', token.reveal(), certificate).catch((error) => {
    if (isTunnelError(error) && error.code === 'LOGIN') throw new TunnelError('IDENTITY', error.detail)
    throw error
  })
  const { tenantId, id, expiresAt } = verified
  const connector = await authority.store.findConnector(tenantId, id)
  if (connector?.secretHash === undefined || authority.closed.has(tenantId)) throw new TunnelError('IDENTITY')
  if (connector.revokedAt !== undefined) throw new TunnelError('REVOKED')
  const { environment, name, serial, generation } = connector
  return { kind: 'connector', tenantId, environment, id, name, serial, generation, notAfter: expiresAt }
}

export interface ProlongContext extends SessionTokens {
  readonly sessions: Pick<Sessions, 'prolong'>
  readonly log: Logger
}

/**
 * A NOTICE of a connector: with its next token its session goes on until that one ends. One that does not hold changes
 * nothing, so that the session ends with the token it has.
 * @throws {TunnelError} PROTOCOL
 */
export function hearToken(context: ProlongContext, live: LiveSession, notice: Uint8Array): void {
  const token = decodeTokenNotice(notice)
  if (token === undefined) return
  prolong(context, live, token).catch((err: unknown) => {
    context.log.warn({ err, session: live.name }, 'the next token of a session does not hold')
  })
}

async function prolong(context: ProlongContext, live: LiveSession, token: Secret<string>): Promise<void> {
  const { tenantId, id, notAfter } = await identifyByToken(context, token, live.certificate)
  const { principal } = live
  if (tenantId !== principal.tenantId || id !== principal.id) throw new TunnelError('IDENTITY')
  context.sessions.prolong(live, notAfter)
}
