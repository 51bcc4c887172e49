import { createHash, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { isServerName } from '../../shared/identity/relay-address.ts'
import { Secret } from '../../shared/secret.ts'
import { BACKDATE_MS, type CertificateAuthority } from './certificate-authority.ts'
import { type KeyFile, readKeyFile, writeKeyFile } from './key-file.ts'

/** What a TLS listener of the relay presents. */
export interface ServerCertificate {
  /** PKCS#8 PEM. */
  readonly key: Secret<string>
  /** PEM of the certificate with the CA behind it: an agent that joins looks for the pinned CA in the handshake. */
  readonly chain: string
  /** Milliseconds since 1970. */
  readonly notAfter: number
  /** When to ask for the next one: two thirds of its life. */
  readonly renewAt: number
}

/** Most names in one server certificate: more would not fit the handshake of a slow client well. */
const SERVER_NAMES_MAX = 200

const FILE_NAME = 'server.pem'
const LIFETIME_MS = 90 * 86_400_000
const LOCAL_NAMES = ['localhost', '127.0.0.1', '::1']

/**
 * The stored server certificate where it fits, else a new one with a new key, stored before this resolves. It fits
 * where this CA issued it, it bears exactly these names, and two thirds of its life are not over.
 *
 * @param names DNS names in lower case and IP addresses; localhost, 127.0.0.1 and ::1 are always added
 * @throws {TunnelError} CONFIG where one is neither or there are too many; STORE where the stored file is damaged
 */
export async function ensureServerCertificate(
  directory: string,
  authority: CertificateAuthority,
  names: readonly string[],
  effects: Effects,
): Promise<ServerCertificate> {
  const all = [...new Set([...names, ...LOCAL_NAMES])]
  const wrong = all.find((name) => !isServerName(name))
  if (wrong !== undefined)
    throw new TunnelError('CONFIG', `${wrong} is no DNS name or address in lower case.`)
  if (all.length > SERVER_NAMES_MAX) throw new TunnelError('CONFIG', 'The relay has too many host names.')
  return ensure(directory, FILE_NAME, authority, all, effects)
}

/**
 * The same for one published host, and for nothing beside it. Kept in a file whose name does not depend on what a file
 * system takes for a name.
 *
 * @throws {TunnelError} STORE where the stored file is damaged
 */
export async function ensureHostCertificate(
  directory: string,
  authority: CertificateAuthority,
  host: string,
  effects: Effects,
): Promise<ServerCertificate> {
  const fileName = `${createHash('sha256').update(host).digest('hex').slice(0, 32)}.pem`
  return ensure(directory, fileName, authority, [host], effects)
}

async function ensure(
  directory: string,
  fileName: string,
  authority: CertificateAuthority,
  names: readonly string[],
  effects: Effects,
): Promise<ServerCertificate> {
  const stored = await readKeyFile(directory, fileName)
  if (stored !== undefined && fits(stored.certificate, authority, names, effects.date())) {
    return present(stored, authority)
  }
  const issued = await issue(authority, names, effects)
  await writeKeyFile(directory, fileName, issued)
  return present(issued, authority)
}

function fits(
  certificate: X509Certificate,
  authority: CertificateAuthority,
  names: readonly string[],
  now: number,
): boolean {
  const bears = (name: string) =>
    isIP(name) === 0 ? certificate.checkHost(name, { wildcards: false }) : certificate.checkIP(name)
  return (
    certificate.verify(authority.certificate.publicKey) &&
    names.every((name) => bears(name) !== undefined) &&
    certificate.subjectAltName?.split(', ').length === names.length &&
    now >= certificate.validFromDate.getTime() &&
    now < renewAt(certificate)
  )
}

function renewAt(certificate: X509Certificate): number {
  const from = certificate.validFromDate.getTime()
  return from + ((certificate.validToDate.getTime() - from) * 2) / 3
}

function present(file: KeyFile, authority: CertificateAuthority): ServerCertificate {
  return {
    key: file.key,
    chain: file.certificate.toString() + authority.certificate.toString(),
    notAfter: file.certificate.validToDate.getTime(),
    renewAt: renewAt(file.certificate),
  }
}

async function issue(
  authority: CertificateAuthority,
  names: readonly string[],
  effects: Effects,
): Promise<KeyFile> {
  const { generate } = await import('selfsigned')
  const now = effects.date()
  const made = await generate([{ name: 'commonName', value: 'Sallyport relay' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - BACKDATE_MS),
    notAfterDate: new Date(Math.min(now + LIFETIME_MS, authority.certificate.validToDate.getTime())),
    ca: { key: authority.key.reveal(), cert: authority.certificate.toString() },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: names.map((name) => (isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name })),
      },
    ],
  })
  return { key: new Secret(made.private), certificate: new X509Certificate(made.cert) }
}
