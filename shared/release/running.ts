import { dirname, join } from 'node:path'
import { readPlainFile } from '../config/plain-file.ts'
import { isTunnelError } from '../errors.ts'
import { PRODUCT_VERSION } from '../version.ts'
import { embeddedRoots } from './embedded.ts'
import { checkFile } from './file.ts'
import { MANIFEST_MAX_BYTES, parseManifest } from './manifest.ts'
import { checkSignatures } from './verify.ts'

/** The manifest of an installed executable, which lies beside it. */
export const MANIFEST_NAME = 'release.json'

/** What this process can say of the program that it runs. */
export type RunningRelease =
  | { readonly isSigned: false; readonly reason: string }
  | { readonly isSigned: true; readonly channel: string; readonly version: string; readonly expires: string }

/** What is read of the process: where its program is. */
export interface RunningProgram {
  readonly executable: string
  readonly roots: ReturnType<typeof embeddedRoots>
}

/**
 * Compares the running executable with the manifest beside it, by the keys that are built into it. It shows a mistake,
 * such as half an upgrade or a build of one's own; who can exchange the executable can exchange this check as well. A
 * manifest that has expired since the installation still tells what was installed.
 */
export async function runningRelease(
  signal: AbortSignal,
  { executable, roots }: RunningProgram = { executable: process.execPath, roots: embeddedRoots() },
): Promise<RunningRelease> {
  if (roots === undefined) return { isSigned: false, reason: 'development build, unsigned' }
  try {
    const path = join(dirname(executable), MANIFEST_NAME)
    const manifest = parseManifest(await readPlainFile(path, MANIFEST_MAX_BYTES, 'RELEASE_MANIFEST'))
    const release = checkSignatures(manifest, roots)
    await checkFile(executable, release, signal)
    if (release.version !== PRODUCT_VERSION) {
      return { isSigned: false, reason: `unsigned: ${path} is for ${release.version}` }
    }
    const { channel, version, expires } = release
    return { isSigned: true, channel, version, expires }
  } catch (error) {
    if (!isTunnelError(error) || signal.aborted) throw error
    return { isSigned: false, reason: `unsigned: ${error.code}: ${error.message}` }
  }
}

/** One line for people. */
export function describeRunning(running: RunningRelease): string {
  return running.isSigned
    ? `release ${running.version} of channel ${running.channel}, signed`
    : `version ${PRODUCT_VERSION}, ${running.reason}`
}
