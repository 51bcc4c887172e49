import { build, type Metafile } from 'esbuild'
import { SAML_WORKER_ASSET } from '../../relay/sso/saml-thread.ts'
import { STORE_WORKER_ASSET } from '../../relay/store/sqlite-thread.ts'
import { PAC_WORKER_ASSET } from '../../shared/network/pac-script.ts'
import { isForeignToAgent } from '../agent-purity.ts'
import type { Edition } from './editions.ts'

/** One file that went into an executable. */
interface BundledModule {
  /** From the project's root. */
  readonly path: string
  /** What was left of it, in bytes. */
  readonly bytes: number
}

/** All JavaScript of one edition. */
export interface Bundle {
  /** One CommonJS file, the form that a single executable of Node 24 takes. */
  readonly code: string
  /** Source map, for reading the stack traces of those who report a fault. */
  readonly map: string
  /** The code of threads, by the name under which it is looked for in the executable. */
  readonly threads: ReadonlyMap<string, string>
  /** By path. */
  readonly modules: readonly BundledModule[]
  /** The packages among them, as package-lock.json names them: `node_modules/NAME`. */
  readonly packages: readonly string[]
}

/** What runs in a thread of its own: the module that starts it, and how it is found in an executable. */
const THREADS = [
  {
    startedBy: 'shared/network/pac-script.ts',
    entry: 'shared/network/pac-worker.ts',
    asset: PAC_WORKER_ASSET,
  },
  {
    startedBy: 'relay/sso/saml-thread.ts',
    entry: 'relay/sso/saml-worker.ts',
    asset: SAML_WORKER_ASSET,
  },
  {
    startedBy: 'relay/store/sqlite-thread.ts',
    entry: 'relay/store/sqlite-worker.ts',
    asset: STORE_WORKER_ASSET,
  },
]

/**
 * Bundles an edition. The same sources and the same lockfile give the same bytes.
 * @param root the project's root, which appears nowhere in the result
 * @throws {Error} where the agent's edition would hold anything of another role
 */
export async function bundle(edition: Edition, root: string): Promise<Bundle> {
  const main = await bundleEntry(edition.entry, `sallyport-${edition.name}.cjs`, root)
  const threads = new Map<string, string>()
  const all = new Map(main.modules.map((module) => [module.path, module]))
  for (const { entry, asset } of THREADS.filter((thread) => all.has(thread.startedBy))) {
    const thread = await bundleEntry(entry, asset, root)
    threads.set(asset, thread.code)
    for (const module of thread.modules) all.set(module.path, module)
  }
  const modules = [...all.values()].sort((one, other) => (one.path < other.path ? -1 : 1))
  if (edition.name === 'agent') {
    const foreign = foreignModules(modules, edition.entry)
    if (foreign.length > 0) throw new Error(`the agent's executable must not hold ${foreign.join(', ')}`)
  }
  return { code: main.code, map: main.map, threads, modules, packages: packagesOf(modules) }
}

async function bundleEntry(entry: string, outfile: string, root: string) {
  const { outputFiles, metafile, warnings } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    // There are no files beside an executable: who asks for them must ask first whether it is one.
    define: { 'import.meta.url': '""' },
    sourcemap: 'external',
    // The notices of all packages are shipped in a file of their own.
    legalComments: 'none',
    metafile: true,
    write: false,
    logLevel: 'warning',
  })
  if (warnings.length > 0) throw new Error(`esbuild warns of ${entry}`)
  const text = (isMap: boolean) => outputFiles.find(({ path }) => path.endsWith('.map') === isMap)?.text ?? ''
  return { code: text(false), map: text(true), modules: modulesOf(metafile) }
}

/**
 * What is in a bundle of the agent but belongs to another role or to development. The bundler's own list is asked, not
 * the sources, so what a package drags in is seen as well.
 */
export function foreignModules(modules: readonly BundledModule[], entry: string): string[] {
  return modules
    .map(({ path }) => path)
    .filter((path) => path !== entry && isForeignToAgent(packageNameOf(path) ?? path))
}

/** The list that is shipped beside an executable: one line a file, for those who want to know what they run. */
export function formatModules(modules: readonly BundledModule[]): string {
  return modules.map(({ path, bytes }) => `${String(bytes).padStart(8)}  ${path}\n`).join('')
}

function modulesOf({ outputs }: Metafile): BundledModule[] {
  return Object.values(outputs)
    .flatMap(({ inputs }) => Object.entries(inputs))
    .map(([path, { bytesInOutput }]) => ({ path, bytes: bytesInOutput }))
}

/** The package that a file belongs to; undefined for our own. */
function packageNameOf(path: string): string | undefined {
  return /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]
}

function packagesOf(modules: readonly BundledModule[]): string[] {
  const found = modules.flatMap(({ path }) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [])
  return [...new Set(found)].sort()
}
