import type { X509Certificate } from 'node:crypto'
import type { CertificateAuthority } from '../authority/certificate-authority.ts'
import { isStatementGenuine, signStatement } from '../authority/statement.ts'
import type { AuditCheckpoint, AuditHead } from './store.ts'

const DOMAIN = 'sallyport audit checkpoint 1'

type Unsigned = Omit<AuditCheckpoint, 'signature'>

function fields({ tenantId, seq, time, hash }: Unsigned): readonly (string | number)[] {
  return [tenantId, seq, time, Buffer.from(hash).toString('hex')]
}

/** Has the CA key vouch for the end of a chain as it is now. @param time ms since 1970 */
export function makeCheckpoint(
  authority: CertificateAuthority,
  tenantId: string,
  { seq, hash }: AuditHead,
  time: number,
): AuditCheckpoint {
  const unsigned = { tenantId, seq, time, hash }
  return { ...unsigned, signature: signStatement(authority, DOMAIN, fields(unsigned)) }
}

/** True where the CA of `certificate` signed the checkpoint. */
export function isCheckpointGenuine(certificate: X509Certificate, checkpoint: AuditCheckpoint): boolean {
  return isStatementGenuine(certificate, DOMAIN, fields(checkpoint), checkpoint.signature)
}
