import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Platform } from './editions.ts'
import type { Lockfile } from './lockfile.ts'
import { runTool } from './tool.ts'

/**
 * The Node of a platform, of the version that package-lock.json names. npm installs it into a folder of its own by a
 * lockfile with this one package, and compares what it gets with the hash in there, as for every other package.
 * @param cache a folder that is kept between builds
 * @returns the path of the program
 */
export async function nodeOf(platform: Platform, lockfile: Lockfile, cache: string): Promise<string> {
  const { package: name, binary } = platform.node
  const key = `node_modules/${name}`
  const entry = lockfile.packages[key]
  if (entry?.integrity === undefined) throw new Error(`package-lock.json has no hash of ${name}`)
  const folder = join(cache, `${name}-${Buffer.from(entry.integrity).toString('base64url').slice(-24)}`)
  const program = join(folder, key, binary)
  if (existsSync(program)) return program
  const growing = `${folder}.new`
  await rm(growing, { recursive: true, force: true })
  await mkdir(growing, { recursive: true })
  const manifest = {
    name: 'runtime',
    version: '0.0.0',
    private: true,
    dependencies: { [name]: entry.version },
  }
  // Without its `os` and `cpu`: npm would refuse what this machine cannot run.
  const locked = { version: entry.version, integrity: entry.integrity }
  const lock = { lockfileVersion: 3, ...manifest, packages: { '': manifest, [key]: locked } }
  await writeFile(join(growing, 'package.json'), JSON.stringify(manifest))
  await writeFile(join(growing, 'package-lock.json'), JSON.stringify(lock))
  await runTool('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: growing })
  await rename(growing, folder)
  return program
}
