import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * S42: what somebody gets who has only the repository. Clones what is committed, installs without running any script of a
 * package, builds twice and compares every file, then runs the demo once. Ends with status 0 where all of it holds. Minutes;
 * needs git and the registry. Executables and packages: test/release/reproducible.ts.
 *
 *   node test/security/clean-clone.ts
 */

const ROOT = join(import.meta.dirname, '../..')

function within(directory: string, program: string, ...args: string[]): string {
  const PATH = `${join(directory, 'node_modules/.bin')}:${process.env.PATH}`
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  return execFileSync(program, args, {
    ...{ cwd: directory, env: { ...process.env, PATH }, encoding: 'utf8', timeout: 600_000 },
    stdio: [...stdio],
  })
}

/** SHA-256 of each file that the build made. */
function built(clone: string): Map<string, string> {
  const out = join(clone, 'dist')
  rmSync(out, { recursive: true, force: true })
  within(clone, 'npm', 'run', 'build')
  const files = globSync('**/*', { cwd: out }).filter((file) => statSync(join(out, file)).isFile())
  return new Map(
    files.map((file) => [
      file,
      createHash('sha256')
        .update(readFileSync(join(out, file)))
        .digest('hex'),
    ]),
  )
}

const directory = mkdtempSync(join(tmpdir(), 'sallyport-clone-'))
const clone = join(directory, 'clone')
try {
  within(directory, 'git', 'clone', '-q', ROOT, clone)
  within(clone, 'npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund')
  const [first, second] = [built(clone), built(clone)]
  const names = new Set([...first.keys(), ...second.keys()])
  const different = [...names].filter((name) => first.get(name) !== second.get(name))
  for (const name of different) process.stdout.write(`DIFFERENT  ${name}\n`)
  process.stdout.write(`built twice: ${names.size - different.length} of ${names.size} files are the same\n`)
  const changed = within(clone, 'git', 'status', '--porcelain')
  process.stdout.write(changed === '' ? 'nothing in the checkout was changed\n' : changed)
  process.stdout.write(within(clone, 'npm', 'start', '--', '--once').split('\n').slice(-12).join('\n'))
  process.exitCode = names.size > 0 && different.length === 0 && changed === '' ? 0 : 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}
