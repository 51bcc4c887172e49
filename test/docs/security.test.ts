import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'

/** docs/security/ beside the code, the tests and the checks that it names. */

const ROOT = join(import.meta.dirname, '../..')
const PAGES = globSync('docs/security/*.md', { cwd: ROOT })
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

describe('docs/security', () => {
  it('has the pages that its beginning names', () => {
    assert.deepEqual(PAGES.map((path) => path.split('/').at(-1)).sort(), [
      'README.md',
      'asvs.md',
      'controls.md',
      'data.md',
      'threats.md',
    ])
  })

  it('names files that exist', () => {
    for (const page of PAGES) {
      const text = read(page)
      for (const [, path = ''] of text.matchAll(/`([\w-]+(?:\/[\w.-]+)+\.(?:ts|js|md))`/g)) {
        assert.ok(existsSync(join(ROOT, path)), `${page}: there is no ${path}`)
      }
      for (const [, link = ''] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
        assert.ok(existsSync(join(ROOT, dirname(page), link)), `${page}: there is no ${link}`)
      }
    }
  })

  it('names checks that are in the table', () => {
    const checks = new Set([...read('docs/checks.md').matchAll(/^\| ([FS]\d{2}) \|/gm)].map(([, id]) => id))
    for (const page of PAGES) {
      for (const [id] of read(page).matchAll(/\b[FS]\d{2}\b/g)) assert.ok(checks.has(id), `${page}: ${id}`)
    }
  })

  it('names a proof for every promise', () => {
    const rows = read('docs/security/controls.md')
      .split('\n')
      .filter((line) => /^\| [A-Z]\d+ \|/.test(line))
    assert.ok(rows.length > 30)
    for (const row of rows) assert.match(row.split('|').at(-2) ?? '', /`test\/|\b[FS]\d{2}\b/, row)
  })

  it('counts the states of its ASVS lines as they are', () => {
    const text = read('docs/security/asvs.md')
    const states = [...text.matchAll(/^\| \d[^|]*\| (yes|difference|open|n\/a) \|/gm)].map(
      ([, state]) => state,
    )
    const counts = ['yes', 'difference', 'open', 'n/a'].map(
      (state) => states.filter((one) => one === state).length,
    )
    assert.match(text, new RegExp(`\\| lines below \\| ${counts.join(' \\| ')} \\|`))
  })
})
