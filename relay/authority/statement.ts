import { sign, verify, type X509Certificate } from 'node:crypto'
import { importKey } from '../../shared/identity/keys.ts'
import type { CertificateAuthority } from './certificate-authority.ts'

/**
 * What the relay's CA key vouches for besides certificates. The domain stands in front of the signed bytes, so that a
 * statement of one kind is no statement of another; none begins like the DER of a certificate.
 */
export type StatementDomain = 'sallyport audit checkpoint 1' | 'sallyport tenant removal 1'

function signedBytes(domain: StatementDomain, fields: readonly (string | number)[]): Buffer {
  // Texts and whole numbers only: JSON writes them in one way.
  return Buffer.from(`${domain}\n${JSON.stringify(fields)}`)
}

/** ECDSA with SHA-256 over domain and fields; 64 bytes (r and s). */
export function signStatement(
  authority: CertificateAuthority,
  domain: StatementDomain,
  fields: readonly (string | number)[],
): Buffer {
  const key = importKey(authority.key.reveal())
  return sign('sha256', signedBytes(domain, fields), { key, dsaEncoding: 'ieee-p1363' })
}

/** True where the CA of `certificate` signed exactly this. */
export function isStatementGenuine(
  certificate: X509Certificate,
  domain: StatementDomain,
  fields: readonly (string | number)[],
  signature: Uint8Array,
): boolean {
  const key = certificate.publicKey
  return verify('sha256', signedBytes(domain, fields), { key, dsaEncoding: 'ieee-p1363' }, signature)
}
