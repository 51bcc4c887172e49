import { X509Certificate } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import { type KeyFile, readKeyFile, writeKeyFile } from './key-file.ts'

/** The root of everything the relay vouches for: a key and its certificate. */
export type CertificateAuthority = KeyFile

const FILE_NAME = 'ca.pem'
const LIFETIME_MS = 3650 * 86_400_000

/** Certificates begin this long before they are made, so that a peer whose clock is slow takes them. */
export const BACKDATE_MS = 5 * 60_000

/**
 * Reads the CA from its directory.
 *
 * @returns undefined where there is none yet
 * @throws {TunnelError} STORE where the file is damaged; PERMISSIONS where others can read it
 */
export async function loadAuthority(directory: string): Promise<CertificateAuthority | undefined> {
  const authority = await readKeyFile(directory, FILE_NAME)
  if (authority !== undefined && !authority.certificate.ca) {
    throw new TunnelError('STORE', `${directory}/${FILE_NAME} is not a CA.`)
  }
  return authority
}

/**
 * Makes a new CA, good for ten years, and stores it before it resolves. All identities of before are void with it.
 *
 * On P-256, as the leaves are: its signature is verified in each handshake of each agent, and after a restart of the
 * relay all of them come at once.
 */
export async function createAuthority(directory: string, effects: Effects): Promise<CertificateAuthority> {
  const { generate } = await import('selfsigned')
  const now = effects.date()
  // The name tells apart the CAs of two relays in the list of a browser; nothing depends on it.
  const label = effects.randomBytes(4).toString('hex')
  const made = await generate([{ name: 'commonName', value: `Sallyport CA ${label}` }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - BACKDATE_MS),
    notAfterDate: new Date(now + LIFETIME_MS),
    extensions: [
      // Path length 0: no certificate that it issues may issue another.
      { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const authority = { key: new Secret(made.private), certificate: new X509Certificate(made.cert) }
  await writeKeyFile(directory, FILE_NAME, authority)
  return authority
}
