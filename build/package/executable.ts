import { chmod, copyFile, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DATA_PLANE_FLAGS } from '../../bin/data-plane.js'
import { ROOTS_ASSET } from '../../shared/release/embedded.ts'
import { runTool } from './tool.ts'

/** What Node looks for in its own file; from its documentation of single executable applications. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/**
 * Node's options inside an executable. SIGUSR1 would open the inspector, which lets a local user run code as the agent;
 * `execArgvExtension: none` shuts NODE_OPTIONS out, which would do the same.
 */
const SEA_OPTIONS = {
  disableExperimentalSEAWarning: true,
  // Both are bound to one platform, and the blob serves all.
  useSnapshot: false,
  useCodeCache: false,
  execArgv: ['--disable-sigusr1', ...DATA_PLANE_FLAGS],
  execArgvExtension: 'none',
}

export interface BlobParts {
  /** Named after its edition; the name stands in stack traces. */
  readonly name: string
  readonly code: string
  /** More files that the code looks for inside the executable, by name. */
  readonly assets: ReadonlyMap<string, string>
  /** The public release keys, as `sallyport verify --keys` reads them. */
  readonly roots: string
}

/**
 * Makes the part of an executable that is ours, the same for every platform.
 * @param directory is made; nothing of its name gets into the blob
 * @param node the Node of this machine, of the very version of those that the blob is put into
 * @returns the path of the blob
 */
export async function makeBlob(
  { name, code, assets, roots }: BlobParts,
  directory: string,
  node: string,
): Promise<string> {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, `${name}.cjs`), code)
  const files = new Map([...assets, [ROOTS_ASSET, roots]])
  for (const [file, content] of files) await writeFile(join(directory, file), content)
  // Relative paths: Node writes that of the main file into the blob.
  const config = {
    main: `${name}.cjs`,
    output: `${name}.blob`,
    ...SEA_OPTIONS,
    assets: Object.fromEntries([...files.keys()].map((file) => [file, file])),
  }
  await writeFile(join(directory, `${name}.json`), JSON.stringify(config))
  await runTool(node, ['--experimental-sea-config', `${name}.json`], { cwd: directory })
  return join(directory, `${name}.blob`)
}

/**
 * Puts a blob into a copy of a platform's Node. The rest of Node stays as its makers built it, byte for byte, except that
 * the signature of a Windows program goes, which would not hold any more.
 */
export async function makeExecutable(root: string, node: string, blob: string, path: string): Promise<void> {
  const growing = `${path}.new`
  if (path.endsWith('.exe')) await runTool('osslsigncode', ['remove-signature', '-in', node, '-out', growing])
  else await copyFile(node, growing)
  const postject = join(root, 'node_modules/postject/dist/cli.js')
  await runTool(process.execPath, [postject, growing, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE])
  await chmod(growing, 0o755)
  await rename(growing, path)
}
