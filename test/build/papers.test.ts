import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { errorDocs, withExitTable } from '../../build/error-docs.ts'
import { publishedPackage } from '../../build/published-package.ts'
import { PRODUCT_VERSION } from '../../shared/version.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const project = () => JSON.parse(read('package.json'))

interface LockedPackage {
  readonly version?: string
  readonly optionalDependencies?: Record<string, string>
}

describe('the papers', () => {
  it('describe the errors that there are (else: npm run docs)', () => {
    assert.equal(read('docs/errors.md'), errorDocs())
  })

  it('have the exit statuses that there are (else: npm run docs)', () => {
    const page = read('docs/cli.md')
    assert.equal(page, withExitTable(page))
    assert.throws(() => withExitTable('no marks'), /has lost the marks/)
  })

  it('name each dependency with the version that is installed', () => {
    const { dependencies, devDependencies, optionalDependencies } = project()
    const page = read('docs/dependencies.md')
    for (const [name, range] of Object.entries({
      ...dependencies,
      ...devDependencies,
      ...optionalDependencies,
    })) {
      const version = String(range).replace(/^npm:.*@/, '')
      assert.ok(
        page.includes(`| ${name} ${version} |`),
        `docs/dependencies.md has no row "${name} ${version}"`,
      )
    }
  })
})

describe('the lockfile', () => {
  it('knows every platform, else npm ci refuses it', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, LockedPackage> }
    const missing = Object.values(packages)
      .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
      .filter((name) => packages[`node_modules/${name}`]?.version === undefined)
    // npm drops platforms that it cannot find while it installs; they have to be put back by hand.
    assert.deepEqual(missing, [])
  })
})

describe('the published package', () => {
  it('asks for a Node and brings neither one nor tools', () => {
    const published = publishedPackage(project(), PRODUCT_VERSION)
    assert.deepEqual(published.engines, { node: '>=24.17' })
    assert.deepEqual(published.dependencies, project().dependencies)
    for (const key of ['optionalDependencies', 'devDependencies', 'scripts', 'private']) {
      assert.equal(key in published, false, key)
    }
  })

  it('is not made with two versions', () => {
    assert.throws(() => publishedPackage(project(), '9.9.9'), /9\.9\.9/)
  })

  it('pins exact versions', () => {
    for (const [name, range] of Object.entries(project().dependencies)) {
      assert.match(String(range), /^(npm:[a-z@/-]+@)?\d+\.\d+\.\d+(-[0-9a-z.]+)?$/, name)
    }
  })
})
