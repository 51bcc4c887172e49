import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { isTunnelError } from '../../shared/errors.ts'
import { buildExecutables } from './executables.ts'
import { buildPackages, releaseDirectory } from './packages.ts'
import { buildRelease } from './publish.ts'
import { checkRequirements } from './requirements.ts'
import { readSettings, type Settings, type Stage } from './settings.ts'

/**
 * `npm run package`: executables, packages and a signed release into out/ (docs/packages.md). The same commit, keys and
 * programs give the same bytes.
 */

const BUILD: Readonly<Record<Stage, (settings: Settings) => Promise<void>>> = {
  executables: buildExecutables,
  packages: buildPackages,
  release: buildRelease,
}

async function main(): Promise<void> {
  // The umask of whoever builds must not show in the packages.
  process.umask(0o022)
  const settings = await readSettings(process.argv.slice(2), join(import.meta.dirname, '../..'))
  await checkRequirements(settings)
  for (const stage of settings.stages) {
    const start = performance.now()
    await BUILD[stage](settings)
    process.stdout.write(`${stage}: ${Math.round((performance.now() - start) / 1_000)} s\n`)
  }
  if (settings.stages.includes('release')) listFiles(releaseDirectory(settings))
}

function listFiles(directory: string): void {
  for (const name of readdirSync(directory).sort()) {
    const megabytes = (statSync(join(directory, name)).size / 1e6).toFixed(1)
    process.stdout.write(`${megabytes.padStart(7)} MB  ${join(directory, name)}\n`)
  }
}

await main().catch((error: unknown) => {
  // What is expected has its own words; the stack of anything else is wanted.
  process.stderr.write(`${isTunnelError(error) ? `${error.message} ${error.next}` : inspect(error)}\n`)
  process.exitCode = 1
})
