import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { foreignToAgent } from '../../build/agent-purity.ts'
import { importsOf, packageOf, reachable, readImportGraph } from '../../build/import-graph.ts'

const ROOT = join(import.meta.dirname, '../..')
const graph = readImportGraph(ROOT)
const files = [...graph.keys()]

/** Each import of the files of a room, as `file -> target`, that `allowed` does not let pass. */
function wrongImports(room: string, allowed: (target: string) => boolean): string[] {
  return files
    .filter((file) => file.startsWith(room))
    .flatMap((file) => (graph.get(file) ?? []).map(({ target }) => ({ file, target })))
    .filter(({ target }) => !allowed(target))
    .map(({ file, target }) => `${file} -> ${target}`)
}

const isOurs = (target: string) => !target.startsWith('node:') && packageOf(target) === undefined

/** What each room without I/O may import beside itself and shared/errors.ts. */
const SANS_IO: Readonly<Record<string, readonly string[]>> = {
  'shared/mux/': [],
  'shared/handshake/': ['shared/mux/', 'shared/wire/', 'shared/secret.ts', 'shared/version.ts', 'valibot'],
  'shared/policy/': [],
  'shared/wire/': ['shared/policy/'],
}

/** What no code without I/O may touch: it is given bytes and the time. */
const AMBIENT =
  /\b(process|performance|setTimeout|setInterval|setImmediate|queueMicrotask|fetch|console)\b(?=[.(])|\bDate\.now|\bnew Date\(\)|\bMath\.random|\bcrypto\./

describe('the direction of imports', () => {
  it('is read right from the sources', () => {
    const source = `
import { a } from '../shared/errors.ts'
import type { B } from './b.ts'
import {
  type C,
  d,
} from 'ws'
import 'reflect-metadata'
export { e } from './e.ts'
export type { F } from './f.ts'
// import { no } from './no.ts'
/* import { no } from './no.ts' */
const text = 'https://example.com' // import('./no.ts')
const g = await import('./g.ts')
`
    assert.deepEqual(importsOf(source, ROOT, 'agent/x.ts'), [
      { target: 'shared/errors.ts', kind: 'static' },
      { target: 'agent/b.ts', kind: 'type' },
      { target: 'ws', kind: 'static' },
      { target: 'reflect-metadata', kind: 'static' },
      { target: 'agent/e.ts', kind: 'static' },
      { target: 'agent/f.ts', kind: 'type' },
      { target: 'agent/g.ts', kind: 'lazy' },
    ])
    assert.deepEqual(
      ['@peculiar/x509/build', 'ws', 'node:fs', 'agent/x.ts', '@a/b/lib/c.js'].map(packageOf),
      ['@peculiar/x509', 'ws', undefined, undefined, '@a/b'],
    )
    assert.ok(files.length > 50, 'the sources are found')
  })

  it('goes from the roles down to shared/, never up or across', () => {
    const allowed = (...rooms: string[]) => {
      return (target: string) => !isOurs(target) || rooms.some((room) => target.startsWith(room))
    }
    assert.deepEqual(wrongImports('shared/', allowed('shared/')), [])
    assert.deepEqual(wrongImports('agent/', allowed('shared/', 'agent/')), [])
    assert.deepEqual(wrongImports('relay/', allowed('shared/', 'relay/')), [])
    assert.deepEqual(wrongImports('connector/', allowed('shared/', 'connector/')), [])
    assert.deepEqual(
      wrongImports('demo/', (target) => !/^(test|bench|build)\//.test(target)),
      [],
    )
  })

  it('never leads to cli.ts', () => {
    assert.deepEqual(
      wrongImports('', (target) => target !== 'cli.ts'),
      [],
    )
  })

  it('keeps input and output out of the protocol, the grammar and the rules', () => {
    for (const [room, others] of Object.entries(SANS_IO)) {
      const allowed = [room, 'shared/errors.ts', 'node:buffer', ...others]
      const wrong = wrongImports(room, (target) => allowed.some((name) => target.startsWith(name)))
      assert.deepEqual(wrong, [], room)
    }
  })

  it('keeps clock, timers and randomness out of them as well', () => {
    const ambient = files
      .filter((file) => Object.keys(SANS_IO).some((room) => file.startsWith(room)))
      .filter((file) =>
        AMBIENT.test(readFileSync(join(ROOT, file), 'utf8').replace(/^\s*(\*|\/\/|\/\*).*$/gm, '')),
      )
    assert.deepEqual(ambient, [])
  })

  it('brings nothing of the relay or another role into the agent', () => {
    assert.deepEqual(foreignToAgent(graph), [])
    const spoilt = new Map(graph).set('agent/x.ts', [
      { target: 'relay/store/store.ts', kind: 'lazy' as const },
    ])
    assert.ok(foreignToAgent(spoilt).includes('relay/store/store.ts'))
  })

  it('lets a command line start without the heavy packages', () => {
    const entries = ['cli.ts', 'relay/commands.ts', 'agent/commands.ts', 'connector/commands.ts']
    const loaded = reachable(graph, entries, ['static'])
    const heavy = new Set([
      'ws',
      'pino',
      'conf',
      'pg',
      'kysely',
      'selfsigned',
      '@peculiar/x509',
      'http-proxy',
    ])
    assert.deepEqual(
      [...loaded].filter((target) => heavy.has(packageOf(target) ?? '')),
      [],
    )
  })
})
