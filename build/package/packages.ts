import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseManifest } from '../../shared/release/manifest.ts'
import { parseRoots } from '../../shared/release/roots.ts'
import { MANIFEST_NAME } from '../../shared/release/running.ts'
import { checkSignatures } from '../../shared/release/verify.ts'
import { signAuthenticode } from './authenticode.ts'
import { makeDeb } from './deb.ts'
import { type Edition, executableName, type Platform } from './editions.ts'
import { executablesDirectory, targets, WRAPPER_NAME } from './executables.ts'
import { type EditionParts, linuxTree, packageName } from './linux-tree.ts'
import { manPage } from './man-page.ts'
import { makeMsi } from './msi.ts'
import { makeRpm } from './rpm.ts'
import type { Settings } from './settings.ts'
import { makeTarball } from './tarball.ts'
import type { TreeFile } from './tree.ts'

/** Where the files that are published lie. */
export function releaseDirectory({ out }: Pick<Settings, 'out'>): string {
  return join(out, 'release')
}

/**
 * Second stage: packages of the executables of the first.
 * @throws {TunnelError} RELEASE_SIGNATURES where too few holders have signed the executables
 */
export async function buildPackages(settings: Settings): Promise<void> {
  const executables = executablesDirectory(settings)
  const roots = parseRoots(await readFile(join(executables, 'release-keys.json'), 'utf8'))
  checkSignatures(parseManifest(await readFile(join(executables, MANIFEST_NAME))), roots)
  const out = releaseDirectory(settings)
  await rm(out, { recursive: true, force: true })
  await mkdir(out, { recursive: true })
  for (const { edition, platforms } of targets(settings)) {
    const page = await manPage({ ...settings, edition })
    const papers = await readPapers(edition, settings)
    for (const platform of platforms) {
      const parts = {
        edition,
        executable: join(executables, executableName(edition, platform)),
        manifest: join(executables, MANIFEST_NAME),
        manPage: page,
        papers,
      }
      await (platform.name === 'win-x64' ? windowsPackages : linuxPackages)(parts, platform, settings)
    }
    await publishPapers(edition, settings)
  }
  await copyFile(join(executables, 'release-keys.json'), join(out, 'release-keys.json'))
  await copyFile(join(settings.root, 'packaging/oci/Containerfile'), join(out, 'containerfile'))
  await rm(join(settings.out, 'work'), { recursive: true, force: true })
}

async function readPapers({ name }: Edition, settings: Settings): Promise<Map<string, string>> {
  const { root } = settings
  const described = (ending: string) =>
    readFile(join(executablesDirectory(settings), `sallyport-${name}${ending}`), 'utf8')
  return new Map([
    ['README.md', await readFile(join(root, 'packaging/README.md'), 'utf8')],
    ['THIRD-PARTY.txt', await described('.third-party.txt')],
    ['modules.txt', await described('.modules.txt')],
    ['sbom.cdx.json', await described('.cdx.json')],
  ])
}

async function linuxPackages(parts: EditionParts, platform: Platform, settings: Settings): Promise<void> {
  const options = {
    ...settings,
    parts,
    platform,
    work: join(settings.out, 'work'),
    out: releaseDirectory(settings),
  }
  await Promise.all([makeDeb(options), makeRpm(options)])
  const name = packageName(parts.edition)
  const files = [
    ...programFiles(parts, settings, 'sallyport'),
    { path: 'sallyport.1', content: parts.manPage },
    ...linuxTree(parts, settings.root)
      .filter(({ path }) => path.startsWith('usr/lib/sys') || path.startsWith('usr/lib/tmpfiles.d'))
      .map((file) => ({ ...file, path: file.path.replace('usr/lib/', '') })),
  ]
  await makeTarball({ ...options, name: `${name}_${settings.version}_${platform.name}`, files })
}

async function windowsPackages(parts: EditionParts, platform: Platform, settings: Settings): Promise<void> {
  const { version, signing, epoch } = settings
  const options = { ...settings, work: join(settings.out, 'work'), out: releaseDirectory(settings) }
  const files = [
    ...programFiles(parts, settings, 'sallyport.exe'),
    { path: WRAPPER_NAME, from: join(executablesDirectory(settings), WRAPPER_NAME), mode: 0o755 },
  ]
  await makeTarball({ ...options, name: `${packageName(parts.edition)}_${version}_${platform.name}`, files })
  const msi = await makeMsi({ ...options, files })
  await signAuthenticode(join(options.out, msi), { signing: signing.authenticode, epoch })
}

/** The program with its manifest and papers in one directory, as on Windows and in tarballs. */
function programFiles(parts: EditionParts, { root }: Settings, program: string): TreeFile[] {
  return [
    { path: program, from: parts.executable, mode: 0o755 },
    { path: MANIFEST_NAME, from: parts.manifest },
    { path: 'LICENSE.txt', from: join(root, 'LICENSE') },
    ...[...parts.papers].map(([path, content]) => ({ path, content })),
  ]
}

/** The bill of materials and the list of modules stand beside the packages as well. */
async function publishPapers({ name }: Edition, settings: Settings): Promise<void> {
  const described = (ending: string) => join(executablesDirectory(settings), `sallyport-${name}${ending}`)
  for (const ending of ['.cdx.json', '.modules.txt', '.cjs.map']) {
    const content = await readFile(described(ending))
    await writeFile(
      join(releaseDirectory(settings), `sallyport-${name}_${settings.version}${ending}`),
      content,
    )
  }
}
