import { createPublicKey } from 'node:crypto'
import type { Effects } from '../effects.ts'
import { Secret } from '../secret.ts'
import { importPkcs8, importSpki } from './csr.ts'
import { exportKey, generateKey } from './keys.ts'
import type { ClientIdentity } from './relay-tls.ts'

/** Whoever looks at its dates finds it good; nobody who trusts it does it because of them. */
const LIFETIME_MS = 3_650 * 86_400_000
const BACKDATE_MS = 86_400_000

/**
 * A fresh key with a certificate of its own making. It proves nothing but that the same key is at the other end again, and
 * that is what a token is bound to (RFC 8705 section 4).
 */
export async function selfSignedIdentity(
  effects: Pick<Effects, 'date' | 'randomBytes'>,
): Promise<ClientIdentity> {
  const x509 = await import('@peculiar/x509')
  const key = await generateKey()
  const now = effects.date()
  const certificate = await x509.X509CertificateGenerator.create({
    // The first byte keeps the number positive.
    serialNumber: `40${effects.randomBytes(15).toString('hex')}`,
    subject: 'CN=sallyport',
    issuer: 'CN=sallyport',
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + LIFETIME_MS),
    publicKey: await importSpki(createPublicKey(key)),
    signingKey: await importPkcs8(key),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  })
  return { certificate: `${certificate.toString('pem')}\n`, key: new Secret(exportKey(key)) }
}
