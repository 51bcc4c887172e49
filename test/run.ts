import { globSync, mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

/**
 * `npm test`: every test file but the long ones of test/soak, or those that the arguments name (paths or globs).
 * Prints what node:test prints, then the counts once more in the form that programs look for.
 */

/** No file takes longer than this, so that a test that hangs is a test that failed. In ms. */
const FILE_TIMEOUT_MS = 180_000

const root = join(import.meta.dirname, '..')

function testFiles(patterns: readonly string[]): string[] {
  const wanted = patterns.length > 0 ? patterns : ['test/**/*.test.ts']
  const exclude = patterns.length > 0 ? [] : ['test/soak/**']
  const files = globSync(wanted, { cwd: root, exclude })
  return [...new Set(files.map((file) => resolve(root, file)))].sort()
}

/** Runs the files, each in a process of its own, and gives the exit status. */
async function runTests(files: string[]): Promise<number> {
  let status = 1
  const events = run({ files, cwd: root, concurrency: availableParallelism(), timeout: FILE_TIMEOUT_MS })
  const printed = events.compose(spec)
  let closing = ''
  events.on('test:summary', ({ file, counts, success, duration_ms }) => {
    if (file !== undefined) return
    status = success && counts.tests > 0 ? 0 : 1
    const failed = counts.tests - counts.passed - counts.cancelled - counts.skipped - counts.todo
    closing = [
      `# tests ${counts.tests}`,
      `# pass ${counts.passed}`,
      `# fail ${failed}`,
      `# cancelled ${counts.cancelled}`,
      `# skipped ${counts.skipped}`,
      `# todo ${counts.todo}`,
      `# duration_ms ${Math.round(duration_ms)}`,
      '',
    ].join('\n')
  })
  for await (const chunk of printed) process.stdout.write(chunk as string)
  process.stdout.write(closing)
  return status
}

async function main(): Promise<number> {
  const cache = join(root, 'node_modules/.cache/compiled')
  mkdirSync(cache, { recursive: true })
  process.env.NODE_COMPILE_CACHE = cache
  const files = testFiles(process.argv.slice(2))
  if (files.length === 0) {
    process.stderr.write('No test file matches.\n')
    return 1
  }
  return runTests(files)
}

process.exitCode = await main()
