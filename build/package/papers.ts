import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Lockfile } from './lockfile.ts'

/** The licences of Node and of each package in an executable, as their makers ask to have them passed on. */
export function thirdPartyNotices(
  root: string,
  packages: readonly string[],
  { lockfile, nodePackage }: { lockfile: Lockfile; nodePackage: string },
): string {
  const parts = packages.map((path) => {
    const { version, license } = lockfile.packages[path] ?? {}
    const name = path.replace(/^.*node_modules\//, '')
    return `${name} ${version} (${license ?? 'see below'})\n\n${licenseText(join(root, path))}`
  })
  return [`Node.js\n\n${licenseText(nodePackage)}`, ...parts].join(`\n\n${'-'.repeat(78)}\n\n`)
}

function licenseText(directory: string): string {
  const [file] = globSync('{LICEN[CS]E,licen[cs]e,LICEN[CS]E-MIT,COPYING}{,.md,.txt}', {
    cwd: directory,
  }).sort()
  return file === undefined ? '(no text came with it)' : readFileSync(join(directory, file), 'utf8').trim()
}
