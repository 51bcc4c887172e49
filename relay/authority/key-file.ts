import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { makePrivateDirectory, readPrivateFile, writePrivateFile } from '../../shared/config/private-file.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { importKey, spkiHash } from '../../shared/identity/keys.ts'
import { Secret } from '../../shared/secret.ts'

/** A key with its certificate in one PEM file, because two files could not be replaced together. */
export interface KeyFile {
  /** PKCS#8 PEM. */
  readonly key: Secret<string>
  /** The certificate of the key. */
  readonly certificate: X509Certificate
}

const PARTS =
  /^(-----BEGIN PRIVATE KEY-----\n[^-]+-----END PRIVATE KEY-----\n)(-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n)$/

/**
 * Reads `directory/name`.
 *
 * @returns undefined where there is no such file
 * @throws {TunnelError} STORE where its content is not right; PERMISSIONS where others can read it
 */
export async function readKeyFile(directory: string, name: string): Promise<KeyFile | undefined> {
  const path = join(directory, name)
  let text: string
  try {
    text = await readPrivateFile(path)
  } catch (err) {
    if (isTunnelError(err) && err.code === 'NOT_FOUND') return undefined
    throw err
  }
  try {
    const [, key = '', certificatePem = ''] = PARTS.exec(text) ?? []
    const certificate = new X509Certificate(certificatePem)
    if (spkiHash(importKey(key)).equals(spkiHash(certificate))) return { key: new Secret(key), certificate }
  } catch {
    // Without the cause: what OpenSSL says may quote the key.
  }
  throw new TunnelError('STORE', `${path} is damaged.`, { next: `restore ${path} from a backup` })
}

/** Writes `directory/name`, whole or not at all; makes the directory, mode 0700, where there is none. */
export async function writeKeyFile(directory: string, name: string, file: KeyFile): Promise<void> {
  await makePrivateDirectory(directory)
  await writePrivateFile(join(directory, name), file.key.reveal() + file.certificate.toString())
}
