import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * S42: builds everything twice, into two directories, and compares every file. Ends with status 0 where all are the same.
 * Several minutes; arguments go to the build:
 *
 *   node test/release/reproducible.ts [--platform linux-x64]
 */

const ROOT = join(import.meta.dirname, '../..')

function buildInto(out: string): Map<string, string> {
  const main = join(ROOT, 'build/package/main.ts')
  execFileSync(process.execPath, [main, '--out', out, ...process.argv.slice(2)], { stdio: 'inherit' })
  const files = globSync('**/*', { cwd: out }).filter((file) => statSync(join(out, file)).isFile())
  return new Map(
    files.sort().map((file) => {
      const content = readFileSync(join(out, file))
      return [file, createHash('sha256').update(content).digest('hex')]
    }),
  )
}

const directory = mkdtempSync(join(tmpdir(), 'sallyport-reproducible-'))
try {
  const first = buildInto(join(directory, 'a'))
  const second = buildInto(join(directory, 'second'))
  const names = new Set([...first.keys(), ...second.keys()])
  const different = [...names].filter((name) => first.get(name) !== second.get(name))
  for (const name of different) process.stdout.write(`DIFFERENT  ${name}\n`)
  process.stdout.write(`${names.size - different.length} of ${names.size} files are the same\n`)
  process.exitCode = names.size > 0 && different.length === 0 ? 0 : 1
} finally {
  rmSync(directory, { recursive: true })
}
