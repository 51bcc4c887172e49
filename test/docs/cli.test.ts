import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { commandDocs } from '../../build/command-docs.ts'

const read = (path: string) => readFileSync(join(import.meta.dirname, '../..', path), 'utf8')

describe('the papers about the command line', () => {
  it('have every command with every option that there is (else: npm run docs)', async () => {
    assert.equal(read('docs/commands.md'), await commandDocs())
  })

  it('say what each command on the site does', () => {
    const page = read('docs/cli.md')
    const commands = [...read('docs/commands.md').matchAll(/^### `sallyport agent ([a-z-]+)/gm)]
    assert.ok(commands.length > 10)
    for (const [, name = ''] of commands) {
      assert.match(page, new RegExp(`^\\| \`agent [^|]*\\b${name}\\b[^|]*\\|`, 'm'), `agent ${name}`)
    }
  })
})
