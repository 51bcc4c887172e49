import type { X509Certificate } from 'node:crypto'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { fingerprint } from '../../shared/identity/keys.ts'
import { parseName } from '../../shared/identity/names.ts'
import { fromJson } from '../../shared/json.ts'
import type { TenantRemoval } from '../store/tenant-removal.ts'
import type { CertificateAuthority } from './certificate-authority.ts'
import { isStatementGenuine, signStatement } from './statement.ts'

const DOMAIN = 'sallyport tenant removal 1'

/** Largest file with a proof, in bytes. */
export const PROOF_MAX_BYTES = 65_536

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const proofSchema = v.strictObject({
  statement: v.literal(DOMAIN),
  tenant: v.pipe(v.string(), v.maxLength(63)),
  /** When it was removed. */
  time: v.pipe(v.string(), v.isoTimestamp()),
  /** Rows that were removed, by table. */
  removed: v.pipe(
    v.record(v.pipe(v.string(), v.maxLength(64)), count),
    v.check((tables) => Object.keys(tables).length <= 256),
  ),
  /** The end that the audit chain of the tenant had. */
  audit: v.strictObject({ records: count, hash: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)) }),
  /** Of the relay's CA. */
  signer: v.pipe(v.string(), v.maxLength(64)),
  signature: v.pipe(v.string(), v.base64(), v.maxLength(200)),
})

/** What a relay signs when it has removed a tenant. */
export type RemovalProof = v.InferOutput<typeof proofSchema>

/** Signs that a tenant was removed. @param time ms since 1970 */
export function makeRemovalProof(
  authority: CertificateAuthority,
  tenant: string,
  { removed, audit }: TenantRemoval,
  time: number,
): RemovalProof {
  const unsigned = {
    statement: DOMAIN,
    tenant,
    time: new Date(time).toISOString(),
    removed: { ...removed },
    audit: { records: audit.seq, hash: Buffer.from(audit.hash).toString('hex') },
    signer: fingerprint(authority.certificate),
  } as const
  const signature = signStatement(authority, DOMAIN, fields(unsigned)).toString('base64')
  return { ...unsigned, signature }
}

function fields(proof: Omit<RemovalProof, 'signature'>): readonly (string | number)[] {
  const { tenant, time, removed, audit, signer } = proof
  return [tenant, time, audit.records, audit.hash, signer, ...Object.entries(removed).flat()]
}

/**
 * Reads a proof and checks that the CA signed it.
 * @throws {TunnelError} CONFIG where it is none; AUDIT where it was changed or another relay signed it
 */
export function checkRemovalProof(text: string, certificate: X509Certificate): RemovalProof {
  const parsed = fromJson(text, proofSchema)
  if (!parsed.success) throw new TunnelError('CONFIG', 'This is no proof of a removal.')
  const proof = parsed.output
  parseName(proof.tenant, 'tenant')
  if (isStatementGenuine(certificate, DOMAIN, fields(proof), Buffer.from(proof.signature, 'base64')))
    return proof
  throw new TunnelError('AUDIT', 'The proof was changed, or another relay signed it.', {
    next: `is the CA that was asked the one with ${proof.signer}?`,
  })
}
