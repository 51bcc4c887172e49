import { globSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, sep } from 'node:path'

/** One import of a module. */
export interface Import {
  /** A path from the project's root for our own modules, else the package or `node:` name as it is written. */
  readonly target: string
  /** `type` imports are erased; `lazy` ones are loaded when their line runs. */
  readonly kind: 'static' | 'lazy' | 'type'
}

/** Each source file, by its path from the root with `/`, and what it imports. */
export type ImportGraph = ReadonlyMap<string, readonly Import[]>

const COMMENT = /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm
const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:[^'"();]*?\sfrom\s+)?'([^']+)'/gm
const LAZY = /(typeof\s+)?\bimport\(\s*'([^']+)'/g

/** Reads the imports of all sources of the project at `root`: what is run, what builds it and what tests it. */
export function readImportGraph(root: string): ImportGraph {
  const files = globSync('{*.ts,{agent,bench,build,connector,demo,relay,shared,test}/**/*.ts}', { cwd: root })
  return new Map(
    files.map((file) => [
      file.split(sep).join('/'),
      importsOf(readFileSync(join(root, file), 'utf8'), root, file),
    ]),
  )
}

/** The imports in one module's text, which stands at `file` (from `root`). */
export function importsOf(source: string, root: string, file: string): Import[] {
  const code = source.replace(COMMENT, '')
  const found: Import[] = []
  for (const [, type, specifier = ''] of code.matchAll(STATEMENT)) {
    found.push({ target: resolve(specifier, root, file), kind: type === undefined ? 'static' : 'type' })
  }
  for (const [, type, specifier = ''] of code.matchAll(LAZY)) {
    // `import('x').T` in the place of a type loads nothing either, but it can be told apart only by parsing.
    found.push({ target: resolve(specifier, root, file), kind: type === undefined ? 'lazy' : 'type' })
  }
  return found
}

/** Everything that is loaded, or may be, once the `entries` are: our modules by path, others by name. */
export function reachable(
  graph: ImportGraph,
  entries: readonly string[],
  kinds: readonly Import['kind'][] = ['static', 'lazy'],
): Set<string> {
  const seen = new Set(entries)
  for (const target of seen) {
    for (const edge of graph.get(target) ?? []) if (kinds.includes(edge.kind)) seen.add(edge.target)
  }
  return seen
}

/** `@scope/name` or `name` of an imported package; undefined for our own modules and Node's. */
export function packageOf(target: string): string | undefined {
  const isOurs = /\.[jt]s$/.test(target) && !target.startsWith('@')
  if (target.startsWith('node:') || isOurs) return undefined
  return /^(@[^/]+\/)?[^/]+/.exec(target)?.[0]
}

function resolve(specifier: string, root: string, file: string): string {
  if (!specifier.startsWith('.')) return specifier
  return posix.normalize(
    relative(root, join(root, dirname(file), specifier))
      .split(sep)
      .join('/'),
  )
}
