import { spawn } from 'node:child_process'

/** Longest time that one program may take, in ms. */
const TOOL_MS = 300_000

export interface ToolOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/**
 * Runs another program to its end, without a shell.
 * @returns what it wrote to standard output
 * @throws {Error} with all that it wrote where it fails
 */
export async function runTool(
  program: string,
  args: readonly string[],
  { cwd, env }: ToolOptions = {},
): Promise<string> {
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.timeout(TOOL_MS),
  })
  const out: Buffer[] = []
  const all: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => {
    out.push(chunk)
    all.push(chunk)
  })
  child.stderr.on('data', (chunk: Buffer) => all.push(chunk))
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject)
  child.on('close', resolve)
  const status = await promise.catch((cause: unknown) => {
    throw new Error(`${program} cannot be run`, { cause })
  })
  if (status === 0) return Buffer.concat(out).toString('utf8')
  throw new Error(
    `${program} ${args.join(' ')} ended with ${status}:\n${Buffer.concat(all).toString('utf8')}`,
  )
}

/** True where `program` is on the PATH. */
export async function hasTool(program: string): Promise<boolean> {
  return runTool('sh', ['-c', 'command -v "$1"', 'sh', program]).then(
    () => true,
    () => false,
  )
}
