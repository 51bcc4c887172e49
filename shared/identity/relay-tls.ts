import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { type ConnectionOptions, checkServerIdentity } from 'node:tls'
import { realEffects } from '../effects.ts'
import { isTunnelError, TunnelError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { formatRelayAddress, type RelayAddress } from './relay-address.ts'

/** How a relay proves itself. */
export interface RelayTrust {
  /** DNS name or IP address that its certificate must bear, whatever address was dialled. */
  readonly serverName: string
  /** PEM of its CA, the only root that counts: the roots of the system are not asked. */
  readonly ca: string
}

/** How the caller proves itself to the relay. */
export interface ClientIdentity {
  readonly certificate: string
  readonly key: Secret<string>
}

/** `node:tls` options for every connection to a relay whose CA is known: TLS 1.3, chain and name verified. */
export function relayTlsOptions(trust: RelayTrust, client?: ClientIdentity): ConnectionOptions {
  return {
    ...relayHandshakeOptions(trust.serverName),
    ca: trust.ca,
    ...(client === undefined ? {} : { cert: client.certificate, key: client.key.reveal() }),
  }
}

/** The part of {@link relayTlsOptions} that does not depend on a CA. */
export function relayHandshakeOptions(serverName: string): ConnectionOptions {
  return {
    minVersion: 'TLSv1.3',
    // RFC 6066 section 3 allows no address here; the empty text sends no name at all.
    servername: isIP(serverName) === 0 ? serverName : '',
    // Without it node compares with the address that was dialled.
    checkServerIdentity: (_dialled, certificate) => checkServerIdentity(serverName, certificate),
  }
}

/** What OpenSSL says where only the time is wrong. The relay renews its certificate long before the end. */
const CLOCK_CODES: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])

/** What OpenSSL and node say where the chain or the name is not that of the relay. */
const IDENTITY_CODES: ReadonlySet<string> = new Set([
  'CERT_CHAIN_TOO_LONG',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_FORMAT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/**
 * Turns what a failed connection to a relay left behind into RELAY_IDENTITY (something answered that is not the relay),
 * CLOCK (its certificate is not good at this machine's time) or RELAY_UNREACHABLE (all else). A TunnelError stays what it is.
 *
 * @param seen the certificate that the relay presented, where the caller kept it: it tells what its clock said
 */
export function relayConnectError(err: unknown, address: RelayAddress, seen?: X509Certificate): TunnelError {
  if (isTunnelError(err)) return err
  const where = formatRelayAddress(address)
  const code = errorCode(err)
  if (CLOCK_CODES.has(code)) return clockError(where, seen, err)
  if (IDENTITY_CODES.has(code)) {
    return new TunnelError('RELAY_IDENTITY', `${where}: ${code}`, { cause: err })
  }
  return new TunnelError('RELAY_UNREACHABLE', `${where}: ${code}`, { cause: err })
}

function clockError(where: string, seen: X509Certificate | undefined, cause: unknown): TunnelError {
  const here = `The clock here says ${new Date(realEffects.date()).toISOString()}`
  const there =
    seen === undefined
      ? `the certificate of ${where} is not good at that time.`
      : `the relay ${where} has a certificate for ${seen.validFromDate.toISOString()} to ${seen.validToDate.toISOString()}.`
  return new TunnelError('CLOCK', `${here}, ${there}`, { cause })
}

function errorCode(err: unknown): string {
  const { code, name } = err as { code?: unknown; name?: unknown }
  if (name === 'TimeoutError') return 'no answer in time'
  return typeof code === 'string' ? code : 'the connection ended'
}
