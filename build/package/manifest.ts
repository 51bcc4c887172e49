import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Manifest, type Release, type ReleasedFile, signedBytes } from '../../shared/release/manifest.ts'
import { keyId } from '../../shared/release/roots.ts'

/** What a release manifest says of the files `names` of a directory, in order. */
export async function describeFiles(
  directory: string,
  names: readonly string[],
): Promise<readonly ReleasedFile[]> {
  const files: ReleasedFile[] = []
  for (const name of names.toSorted()) {
    const path = join(directory, name)
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
    files.push({ name, size: (await stat(path)).size, sha256: hash.digest('hex') })
  }
  return files
}

/** The manifest with one more signature, or the same where the key has signed it before. */
export async function withSignature(manifest: Manifest, keyPath: string): Promise<Manifest> {
  const key = createPrivateKey(await readFile(keyPath))
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${keyPath} is no Ed25519 key`)
  const id = keyId(createPublicKey(key))
  const signature = sign(null, signedBytes(manifest.signed), key).toString('base64')
  const others = manifest.signatures.filter(({ key: other }) => other !== id)
  const signatures = [...others, { key: id, signature }].sort((one, other) => (one.key < other.key ? -1 : 1))
  return { signed: manifest.signed, signatures }
}

/** Signs a release with all keys of `keyPaths`, none of which may be there. */
export async function signRelease(release: Release, keyPaths: readonly string[]): Promise<Manifest> {
  let manifest: Manifest = { signed: release, signatures: [] }
  for (const path of keyPaths) manifest = await withSignature(manifest, path)
  return manifest
}
