import type { X509Certificate } from 'node:crypto'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { isName } from '../../shared/identity/names.ts'
import type { CertificateAuthority } from '../authority/certificate-authority.ts'
import { isStatementGenuine, signStatement } from '../authority/statement.ts'
import { RELAY_CHAIN } from './record.ts'
import type { AuditCheckpoint, AuditHead, AuditStore } from './store.ts'

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

/** A checkpoint as it is kept elsewhere: what `checkpointJson` makes. */
export const checkpointSchema = v.strictObject({
  tenant: v.pipe(
    v.string(),
    v.check((text) => text === RELAY_CHAIN || isName(text)),
  ),
  seq: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  time: v.pipe(v.string(), v.isoTimestamp()),
  hash: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  signature: v.pipe(v.string(), v.base64(), v.maxLength(200)),
})

/** The checkpoint that stands in a text. */
export function checkpointOf(json: v.InferOutput<typeof checkpointSchema>): AuditCheckpoint {
  const { tenant, seq, time, hash, signature } = json
  return {
    ...{ tenantId: tenant, seq, time: Date.parse(time) },
    hash: Buffer.from(hash, 'hex'),
    signature: Buffer.from(signature, 'base64'),
  }
}

/** The newest signed end of a chain. @throws {TunnelError} NOT_FOUND where nothing is signed yet */
export async function newestCheckpoint(
  store: Pick<AuditStore, 'listAuditCheckpoints'>,
  chain: string,
): Promise<AuditCheckpoint> {
  let newest: AuditCheckpoint | undefined
  for (;;) {
    const page: readonly AuditCheckpoint[] = await store.listAuditCheckpoints(chain, newest?.seq ?? 0)
    if (page.length === 0) break
    newest = page.at(-1)
  }
  if (newest !== undefined) return newest
  throw new TunnelError(
    'NOT_FOUND',
    'Nothing is signed yet: a running relay signs each hour, and when it stops.',
  )
}
