import { X509Certificate } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { createCsr } from '../../shared/identity/csr.ts'
import {
  RENEW_PATH,
  type RenewRequest,
  renewResponseSchema,
} from '../../shared/identity/enrollment-messages.ts'
import { exportKey, generateKey, spkiHash } from '../../shared/identity/keys.ts'
import { certificateSubject, formatSubject } from '../../shared/identity/subject.ts'
import type { Network } from '../../shared/network/network.ts'
import { firstReachable, readAnswer } from '../../shared/network/relay-answer.ts'
import { exchange } from '../../shared/network/relay-exchange.ts'
import { Secret } from '../../shared/secret.ts'
import { PRODUCT_VERSION } from '../../shared/version.ts'

/** How long one request may take, in ms. */
const REQUEST_MS = 15_000

export interface RenewOptions {
  /** Directly unless told otherwise. */
  readonly network: Network | undefined
  readonly effects: Pick<Effects, 'randomBytes'>
  readonly signal: AbortSignal
}

/**
 * The next certificate of a connector for a fresh key, by the present one (docs/protocol.md section 11.5). Nothing is stored.
 * @throws {TunnelError} REVOKED, IDENTITY, EXPIRED: asking again is of no use; RELAY_UNREACHABLE and others: it is
 */
export async function renewCertificate(
  present: ConnectorCredentials,
  { network, effects, signal }: RenewOptions,
): Promise<ConnectorCredentials> {
  const key = await generateKey()
  const body: RenewRequest = {
    csr: await createCsr(key),
    version: PRODUCT_VERSION,
    instance: effects.randomBytes(16).toString('hex'),
  }
  const answer = await firstReachable(present.addresses, async (address) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)])
    const road = { address, trust: present, client: present, signal: limit, ...(network && { network }) }
    const request = {
      method: 'POST',
      path: RENEW_PATH,
      body: JSON.stringify(body),
      mayBeInspected: false,
    } as const
    const got = await exchange(road, request)
    if (got !== undefined) return readAnswer(got, renewResponseSchema, { address, path: RENEW_PATH })
    throw new TunnelError('RELAY_IDENTITY', 'An inspector stands in between: no connector may go by it.')
  })
  const next = { ...present, certificate: answer.certificate, key: new Secret(exportKey(key)) }
  const certificate = new X509Certificate(next.certificate)
  const isMine = spkiHash(certificate).equals(spkiHash(key)) && sameSubject(next, present)
  if (isMine && certificate.verify(new X509Certificate(present.ca).publicKey)) return next
  throw new TunnelError('PROTOCOL', 'The relay sent a certificate for another key or another connector.')
}

/** True where both certificates name the same connector of the same tenant. */
export function sameSubject(one: ConnectorCredentials, other: ConnectorCredentials): boolean {
  const [a, b] = [one, other].map(({ certificate }) => certificateSubject(new X509Certificate(certificate)))
  return a !== undefined && b !== undefined && formatSubject(a) === formatSubject(b)
}
