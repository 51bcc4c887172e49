import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  formatManifest,
  type Release,
  type ReleaseSignature,
  signedBytes,
} from '../../../shared/release/manifest.ts'
import { keyId, parseRoots, type Roots } from '../../../shared/release/roots.ts'

export interface KeyHolder {
  readonly id: string
  readonly publicKey: KeyObject
  readonly sign: (release: Release) => ReleaseSignature
}

export function keyHolder(): KeyHolder {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const id = keyId(publicKey)
  return {
    id,
    publicKey,
    sign: (release) => ({
      key: id,
      signature: sign(null, signedBytes(release), privateKey).toString('base64'),
    }),
  }
}

/** Three holders, two of whom make a release of the channel `stable`. */
export const HOLDERS = [keyHolder(), keyHolder(), keyHolder()] as const

export function rootsText(
  holders: readonly KeyHolder[] = HOLDERS,
  channel = 'stable',
  threshold = 2,
): string {
  const keys = holders.map(({ publicKey }) =>
    publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
  )
  return JSON.stringify({ channel, threshold, keys })
}

export const roots = (): Roots => parseRoots(rootsText())

/** Half a year before the releases of {@link release} expire. */
export const NOW = Date.parse('2026-12-01T00:00:00Z')

/** What the released file of {@link release} holds. */
export const CONTENT = Buffer.from('a released file')

export function release(change: Partial<Release> = {}): Release {
  return {
    product: 'sallyport',
    version: '1.2.0',
    channel: 'stable',
    minimum: '1.0.0',
    expires: '2027-06-01T00:00:00Z',
    files: [
      { name: 'agent.deb', size: CONTENT.length, sha256: createHash('sha256').update(CONTENT).digest('hex') },
    ],
    ...change,
  }
}

export function manifestText(signed: Release, holders: readonly KeyHolder[] = HOLDERS.slice(0, 2)): string {
  return formatManifest({ signed, signatures: holders.map((holder) => holder.sign(signed)) })
}

/** A directory with `files` in it, which goes with the scope. */
export async function folder(
  files: Readonly<Record<string, string | Buffer>>,
): Promise<AsyncDisposable & { readonly path: (name: string) => string }> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-release-'))
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content)
  return {
    path: (name) => join(directory, name),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
}
