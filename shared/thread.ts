import { getAsset, isSea } from 'node:sea'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/** Where the code of a thread stands. */
export interface ThreadCode {
  /** The asset of a single executable that holds the code with all that it imports, as one CommonJS script. */
  readonly asset: string
  /** `import.meta.url` of the module beside it. */
  readonly beside: string
  /** Its path from there, without an ending: `./pac-worker`. */
  readonly path: string
}

/** Starts a thread that has neither this process's standard streams nor its environment. */
export function startThread({ asset, beside, path }: ThreadCode, options: WorkerOptions): Worker {
  const closed = { env: {}, argv: [], execArgv: [], stdin: false, stdout: true, stderr: true, ...options }
  if (isSea()) return new Worker(getAsset(asset, 'utf8'), { ...closed, eval: true })
  return new Worker(new URL(`${path}${beside.endsWith('.ts') ? '.ts' : '.js'}`, beside), closed)
}
