import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

/** docs/checks.md beside the tests that it names. */

const ROOT = join(import.meta.dirname, '../..')
const PAGE = 'docs/checks.md'

/** F01 to F32 and S02 to S48 without the numbers that were never given. */
const NEEDED = [
  ...[1, 2, 3, 4, 6, 7, 9, 10, 11, 13, 14, 15, 16, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32].map(
    (number) => `F${String(number).padStart(2, '0')}`,
  ),
  ...[
    ...[
      2, 3, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 17, 18, 19, 20, 21, 24, 25, 27, 28, 29, 30, 31, 32, 33, 34, 35,
    ],
    ...[36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48],
  ].map((number) => `S${String(number).padStart(2, '0')}`),
]

interface Row {
  readonly id: string
  readonly paths: readonly string[]
  readonly figure: string
}

function rows(): Row[] {
  const lines = readFileSync(join(ROOT, PAGE), 'utf8').split('\n')
  return lines.flatMap((line) => {
    const cells = line.split('|').map((cell) => cell.trim())
    const [, id = '', , where = '', , figure = ''] = cells
    if (!/^[FS]\d{2}$/.test(id)) return []
    return [{ id, figure, paths: [...where.matchAll(/`([^`]+)`/g)].map(([, path]) => path ?? '') }]
  })
}

/** Ids that a file says it is about, in titles and headers. */
function idsIn(text: string): Set<string> {
  return new Set([...text.matchAll(/\b([FS]\d{2})[a-z]?:/g)].map(([, id]) => id ?? ''))
}

describe(PAGE, () => {
  it('has every check once', () => {
    const ids = rows().map(({ id }) => id)
    assert.deepEqual(new Set(ids).size, ids.length)
    for (const id of NEEDED) assert.ok(ids.includes(id), `${id} is missing`)
  })

  it('says of each check where it is tried, or why it is not', () => {
    for (const { id, paths, figure } of rows()) {
      assert.notEqual(figure, '', id)
      if (paths.length === 0) assert.match(figure, /^not here: /, id)
    }
  })

  it('names tests that exist and say so themselves', () => {
    for (const { id, paths } of rows()) {
      for (const path of paths) {
        assert.ok(existsSync(join(ROOT, path)), `${id}: there is no ${path}`)
        assert.ok(
          idsIn(readFileSync(join(ROOT, path), 'utf8')).has(id),
          `${path} does not name ${id} as "${id}: ..."`,
        )
      }
    }
  })

  it('names every test that says it is one of the checks', () => {
    const named = new Set(rows().flatMap(({ id, paths }) => paths.map((path) => `${id} ${path}`)))
    for (const path of globSync('test/**/*.ts', { cwd: ROOT })) {
      if (path === 'test/docs/checks.test.ts') continue
      for (const id of idsIn(readFileSync(join(ROOT, path), 'utf8'))) {
        assert.ok(named.has(`${id} ${path}`), `${path} is a test of ${id}, and ${PAGE} does not say so`)
      }
    }
  })
})
