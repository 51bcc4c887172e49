import type { X509Certificate } from 'node:crypto'
import { TunnelError } from '../../shared/errors.ts'
import { certificateSerial, certificateSubject, type Subject } from '../../shared/identity/subject.ts'
import type { AuthorityContext } from './context.ts'

interface PrincipalBase {
  readonly tenantId: string
  readonly environment: string
  readonly id: string
  /** Of the certificate that was presented; hexadecimal in lower case. Empty for who came by a token. */
  readonly serial: string
  /** When that certificate or token ends, in milliseconds since 1970: the session must end then too, TLS does not see to it. */
  readonly notAfter: number
}

/** Who is at the other end, as the store knows it now. */
export type Principal =
  | (PrincipalBase & { readonly kind: 'agent'; readonly site: string; readonly generation: number })
  | (PrincipalBase & {
      readonly kind: 'connector'
      readonly name: string
      /** Of the certificate that was presented: that of a later one is higher. */
      readonly generation: number
    })

/**
 * Finds out whose certificate was presented. Ask at every connect, and never answer from a cache: a revoked
 * certificate verifies as well as before.
 *
 * @param certificate of the peer, from `getPeerX509Certificate`; undefined where none came
 * @param authorized what TLS said about it
 * @param source from where it comes
 * @throws {TunnelError} IDENTITY where there is no certificate of ours, its owner is unknown, or it was replaced by a
 * newer one; EXPIRED; REVOKED
 */
export async function identify(
  context: AuthorityContext,
  certificate: X509Certificate | undefined,
  authorized: boolean,
  source = 'unknown',
): Promise<Principal> {
  if (certificate === undefined) throw new TunnelError('IDENTITY', 'No client certificate was presented.')
  const notAfter = certificate.validToDate.getTime()
  // Only whether it is over may be read of a certificate that nobody vouches for.
  if (context.effects.date() >= notAfter) {
    throw new TunnelError('EXPIRED', `The certificate ended at ${new Date(notAfter).toISOString()}.`)
  }
  if (!authorized) throw new TunnelError('IDENTITY', 'The certificate is not from this relay.')
  const subject = certificateSubject(certificate)
  if (subject === undefined) throw new TunnelError('IDENTITY', 'The certificate names nobody.')
  if (context.closed.has(subject.tenantId)) throw new TunnelError('IDENTITY')
  const presented = { serial: certificateSerial(certificate), notAfter }
  return subject.kind === 'agent'
    ? identifyAgent(context, subject, { ...presented, source })
    : identifyConnector(context, subject, presented)
}

interface Presented {
  readonly serial: string
  readonly notAfter: number
}

async function identifyAgent(
  context: AuthorityContext,
  subject: Subject,
  { source, ...presented }: Presented & { readonly source: string },
): Promise<Principal> {
  const { tenantId, id } = subject
  // In the tenant that the certificate names and no other: an id of another tenant is as unknown as a made-up one.
  const agent = await context.store.findAgent(tenantId, id)
  if (agent === undefined) throw new TunnelError('IDENTITY')
  if (agent.revokedAt !== undefined) throw new TunnelError('REVOKED')
  if (presented.serial === agent.serial) {
    // The agent holds the new certificate: from now on the one before is a copy's.
    if (agent.previousSerial !== undefined) {
      await context.store.confirmAgentCertificate(tenantId, id, agent.serial)
    }
  } else if (presented.serial !== agent.previousSerial) {
    const { environment, site } = agent
    const { notAfter } = presented
    context.copies.stale({ tenantId, environment, site, id }, { notAfter, source, current: agent })
    throw new TunnelError('IDENTITY', 'A newer certificate took its place. Is there a copy of this agent?')
  }
  const { environment, site, generation } = agent
  return { kind: 'agent', tenantId, environment, id, site, generation, ...presented }
}

async function identifyConnector(
  context: AuthorityContext,
  subject: Subject,
  presented: Presented,
): Promise<Principal> {
  const { tenantId, id } = subject
  const connector = await context.store.findConnector(tenantId, id)
  if (connector === undefined) throw new TunnelError('IDENTITY')
  if (connector.revokedAt !== undefined) throw new TunnelError('REVOKED')
  if (presented.serial === connector.serial) {
    if (connector.previousSerial !== undefined) {
      await context.store.confirmConnectorCertificate(tenantId, id, connector.serial)
    }
  } else if (presented.serial !== connector.previousSerial) {
    throw new TunnelError(
      'IDENTITY',
      'A newer certificate took its place. Is there a copy of these credentials?',
    )
  }
  const { environment, name } = connector
  const generation = connector.generation - (presented.serial === connector.serial ? 0 : 1)
  return { kind: 'connector', tenantId, environment, id, name, generation, ...presented }
}
