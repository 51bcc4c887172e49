import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { within } from '../support/deadline.ts'

const PROGRAM = join(import.meta.dirname, '../../bin/sallyport.js')

/** How long a part may take for its next line or its end, in ms: some machines do other things too. */
const PART_MS = 60_000

export interface PartOptions {
  /** Stands before the command, as `ip netns exec NAME` does; must end in the command itself, so that its pid is the child's. */
  readonly prefix?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A running `sallyport` in a process of its own. */
export interface Part {
  readonly pid: number
  readonly child: ChildProcess
  /** The next line of standard output as JSON. */
  line(): Promise<Readonly<Record<string, unknown>>>
  /** The lines of its log so far. */
  log(): readonly Readonly<Record<string, unknown>>[]
  /** All of standard error so far. */
  err(): string
  /** Ends it with `signal`. @returns the exit status, null where the signal ended it */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

/** Starts `sallyport ARGS --json`. */
export function startPart(args: readonly string[], { prefix = [], env = {} }: PartOptions = {}): Part {
  const [program = '', ...rest] = [...prefix, process.execPath, PROGRAM, ...args, '--json']
  const child = spawn(program, rest, { stdio: 'pipe', env: { ...process.env, ...env } })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  const exited = once(child, 'exit').then(([status]) => status as number | null)
  const name = `sallyport ${args.join(' ')}`
  return {
    pid: child.pid ?? 0,
    child,
    async line() {
      const next = await within(lines.next(), `a line of ${name}`, PART_MS)
      if (next.done === true) throw new Error(`${name} ended: ${err}`)
      return JSON.parse(next.value)
    },
    log: () => err.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : [])),
    err: () => err,
    async end(signal = 'SIGTERM') {
      child.kill(signal)
      try {
        return await within(exited, `the end of ${name}`, PART_MS)
      } finally {
        child.kill('SIGKILL')
      }
    },
  }
}

/** Runs `sallyport ARGS --json` to its end. @returns what it printed; @throws {Error} where its status is not 0 */
export async function runPart(
  args: readonly string[],
  options: PartOptions = {},
): Promise<Readonly<Record<string, unknown>>> {
  const { status, out, err } = await tryPart(args, options)
  if (status !== 0) throw new Error(`sallyport ${args.join(' ')}: ${status} ${JSON.stringify(out)} ${err}`)
  return out
}

/** The same with the exit status, for what may fail. */
export async function tryPart(args: readonly string[], options: PartOptions = {}) {
  const part = startPart(args, options)
  let text = ''
  part.child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  part.child.stdin?.end()
  const [status] = (await within(once(part.child, 'close'), `sallyport ${args.join(' ')}`, PART_MS)) as [
    number,
  ]
  return { status, out: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>), err: part.err() }
}

/** What the kernel says of a process. */
export interface Footprint {
  readonly rssMib: number
  readonly descriptors: number
}

export function footprint(pid: number): Footprint {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return {
    rssMib: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  }
}
