import { dirname, join } from 'node:path'
import type { Output } from '../cli/output.ts'
import { readPlainFile } from '../config/plain-file.ts'
import { type Effects, realEffects } from '../effects.ts'
import { TunnelError } from '../errors.ts'
import { PRODUCT_VERSION } from '../version.ts'
import { embeddedRoots } from './embedded.ts'
import { checkFile } from './file.ts'
import { MANIFEST_MAX_BYTES, parseManifest } from './manifest.ts'
import { parseRoots, ROOTS_MAX_BYTES, type Roots } from './roots.ts'
import { MANIFEST_NAME } from './running.ts'
import { checkFresh, checkSignatures } from './verify.ts'
import { isVersion } from './version.ts'

export interface VerifyFlags {
  readonly manifest?: string
  readonly keys?: string
  readonly floor?: string
}

interface VerifyOptions extends VerifyFlags {
  readonly files: readonly string[]
  readonly signal: AbortSignal
  readonly output: Output
  readonly effects?: Pick<Effects, 'date'>
  /** Stands in for the keys of an executable in tests. */
  readonly embedded?: Roots | undefined
}

/** `sallyport verify`: signatures, channel, date, version, then each file. */
export async function verifyFiles(options: VerifyOptions): Promise<void> {
  const { files, signal, output, effects = realEffects } = options
  const embedded = 'embedded' in options ? options.embedded : embeddedRoots()
  const roots = options.keys === undefined ? embedded : await readRoots(options.keys)
  if (roots === undefined) {
    throw new TunnelError('USAGE', 'No release keys are built into this program; say --keys FILE.', {
      next: 'sallyport verify --help',
    })
  }
  // What is built with keys is a release itself: going back behind it is a choice that has to be said.
  const floor = options.floor ?? (embedded === undefined ? undefined : PRODUCT_VERSION)
  if (floor !== undefined && !isVersion(floor)) {
    throw new TunnelError('USAGE', '--floor is a version such as 1.2.0.')
  }
  for (const path of files) {
    const manifestPath = options.manifest ?? join(dirname(path), MANIFEST_NAME)
    const bytes = await readPlainFile(manifestPath, MANIFEST_MAX_BYTES, 'RELEASE_MANIFEST')
    const release = checkSignatures(parseManifest(bytes), roots)
    checkFresh(release, effects.date(), floor)
    const { name, size, sha256 } = await checkFile(path, release, signal)
    const { version, channel, expires, signedBy } = release
    output.result({ file: path, name, size, sha256, version, channel, expires, signedBy }, [
      `${path} is ${name} of release ${version}, channel ${channel}`,
      `signed by ${signedBy.length} of ${roots.keys.size} release keys, good until ${expires}`,
    ])
  }
}

async function readRoots(path: string): Promise<Roots> {
  return parseRoots((await readPlainFile(path, ROOTS_MAX_BYTES, 'CONFIG')).toString('utf8'))
}
