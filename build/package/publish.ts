import { copyFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MANIFEST_NAME } from '../../shared/release/running.ts'
import { signCms } from './cms.ts'
import { writeManifest } from './executables.ts'
import { describeFiles } from './manifest.ts'
import { releaseDirectory } from './packages.ts'
import type { Settings } from './settings.ts'

/** Made in this stage, so not part of what it describes. */
const DESCRIBING = [MANIFEST_NAME, 'SHA256SUMS', 'SHA256SUMS.p7s', 'cms-certificate.pem']

/** Last stage: the manifest of everything that is published, check sums, and a CMS signature over these. */
export async function buildRelease(settings: Settings): Promise<void> {
  const { signing, epoch } = settings
  const directory = releaseDirectory(settings)
  const names = (await readdir(directory)).filter((name) => !DESCRIBING.includes(name))
  await writeManifest(directory, names, settings)
  const sums = (await describeFiles(directory, names))
    .map(({ name, sha256 }) => `${sha256}  ${name}\n`)
    .join('')
  await writeFile(join(directory, 'SHA256SUMS'), sums)
  await writeFile(join(directory, 'SHA256SUMS.p7s'), await signCms(sums, signing.cms, epoch))
  await copyFile(signing.cms.certificate, join(directory, 'cms-certificate.pem'))
}
