import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { PRODUCT_VERSION } from '../shared/version.ts'
import { foreignToAgent } from './agent-purity.ts'
import { readImportGraph } from './import-graph.ts'
import { publishedPackage } from './published-package.ts'

/**
 * `npm run build`: writes the package that is published to dist/, as JavaScript, because Node strips no types under
 * node_modules. The same sources give the same bytes.
 */

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')
/** What of the rooms' files that are no TypeScript is needed when the program runs. */
const ASSETS = '{shared,agent,relay,connector}/**/*.{sql,json,html,css,js}'
const PAPERS = ['LICENSE', 'README.md', 'CHANGELOG.md', 'SECURITY.md']

function compile(): void {
  const args = [join(root, 'node_modules/typescript/bin/tsc'), '--project', join(root, 'build/tsconfig.json')]
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  // What is wrong has been said by the compiler; a stack of ours would only hide it.
  if (status !== 0) process.exit(1)
}

function copyFiles(): void {
  cpSync(join(root, 'bin'), join(dist, 'bin'), { recursive: true })
  for (const file of [...PAPERS, ...globSync(ASSETS, { cwd: root })]) {
    if (!existsSync(join(root, file))) continue
    mkdirSync(dirname(join(dist, file)), { recursive: true })
    copyFileSync(join(root, file), join(dist, file))
  }
}

/** Runs what was built, so that a build that cannot start is no build. */
function tryOut(): void {
  const shown = execFileSync(process.execPath, [join(dist, 'bin/sallyport.js'), '--version'], {
    encoding: 'utf8',
  })
  if (shown.trim() !== PRODUCT_VERSION) throw new Error(`the built command shows version ${shown.trim()}`)
  execFileSync(process.execPath, [join(dist, 'bin/sallyport.js'), '--help'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

const foreign = foreignToAgent(readImportGraph(root))
if (foreign.length > 0) throw new Error(`the agent must not load ${foreign.join(', ')}`)
const project: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const published = publishedPackage(project, PRODUCT_VERSION)
rmSync(dist, { recursive: true, force: true })
compile()
copyFiles()
writeFileSync(join(dist, 'package.json'), `${JSON.stringify(published, null, 2)}\n`)
tryOut()
process.stdout.write(`dist/ holds ${published.name} ${published.version}\n`)
