import type { KeyObject } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import { importPkcs8, importSpki } from '../../shared/identity/csr.ts'
import { fingerprint, importKey } from '../../shared/identity/keys.ts'
import { formatSubject, type Subject } from '../../shared/identity/subject.ts'
import type { IssuedCertificate } from '../store/store.ts'
import { BACKDATE_MS, type CertificateAuthority } from './certificate-authority.ts'

/** A client certificate, and what the store keeps of it. */
export interface ClientCertificate {
  readonly pem: string
  /** From now to the end, in milliseconds. */
  readonly lifetimeMs: number
  readonly record: IssuedCertificate
}

/**
 * Issues a certificate that says nothing but whom the key speaks for: client authentication only, no CA, one URI.
 *
 * @param key a public P-256 key that its owner proved to hold
 * @param lifetimeMs shortened where the CA ends before
 */
export async function issueClientCertificate(
  authority: CertificateAuthority,
  key: KeyObject,
  subject: Subject,
  lifetimeMs: number,
  effects: Effects,
): Promise<ClientCertificate> {
  const x509 = await import('@peculiar/x509')
  const now = effects.date()
  // Certificates count whole seconds.
  const notAfter =
    Math.floor(Math.min(now + lifetimeMs, authority.certificate.validToDate.getTime()) / 1000) * 1000
  const serial = randomSerial(effects)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: `CN=${subject.id}`,
    issuer: new x509.X509Certificate(authority.certificate.raw).subjectName,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(notAfter),
    publicKey: await importSpki(key),
    signingKey: await importPkcs8(importKey(authority.key.reveal())),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth], true),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: formatSubject(subject) }], true),
    ],
  })
  return {
    pem: `${certificate.toString('pem')}\n`,
    lifetimeMs: notAfter - now,
    record: { serial, fingerprint: fingerprint(key), notAfter },
  }
}

/** 16 bytes in hexadecimal; the first bits are fixed so that the number is positive and never shorter than it looks. */
function randomSerial(effects: Effects): string {
  const bytes = Buffer.from(effects.randomBytes(16))
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0)
  return bytes.toString('hex')
}
