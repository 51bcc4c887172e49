import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { within } from './deadline.ts'

/** The words that start `sallyport` from the sources. */
const PROGRAM: readonly string[] = [process.execPath, join(import.meta.dirname, '../../bin/sallyport.js')]

/** How long one command may take, on a machine that does other things too, in ms. */
const COMMAND_MS = 20_000

export interface Finished {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** Runs a command to its end, of the sources or of another program. */
export async function sallyport(args: readonly string[], input = '', program = PROGRAM): Promise<Finished> {
  const child = start(args, program)
  child.stdin?.end(input)
  if (child.stdout === null || child.stderr === null) throw new Error('no output')
  const finished = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  try {
    const [out, err, [status]] = await within(finished, `sallyport ${args.join(' ')}`, COMMAND_MS)
    return { status, out, err }
  } finally {
    child.kill('SIGKILL')
  }
}

/** A command that goes on until it is told to end. */
export interface Running extends AsyncDisposable {
  readonly pid: number
  /** The next line of standard output. */
  text(): Promise<string>
  /** The same, parsed as JSON. */
  line(): Promise<Readonly<Record<string, unknown>>>
  /** All of standard error so far. */
  err(): string
  /** SIGTERM. @returns the exit status */
  stop(): Promise<number | null>
}

export function startSallyport(args: readonly string[], program = PROGRAM): Running {
  const child = start(args, program)
  if (child.stdout === null || child.stderr === null) throw new Error('no output')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  const exited = once(child, 'exit').then(([status]) => status as number | null)
  const stop = async () => {
    child.kill('SIGTERM')
    try {
      return await within(exited, `the end of sallyport ${args.join(' ')}`, COMMAND_MS)
    } finally {
      child.kill('SIGKILL')
    }
  }
  const nextLine = async () => {
    const next = await within(lines.next(), `a line of sallyport ${args.join(' ')}`, COMMAND_MS)
    if (next.done === true) throw new Error(`sallyport ${args.join(' ')} ended: ${err}`)
    return next.value
  }
  return {
    pid: child.pid ?? 0,
    text: nextLine,
    line: async () => JSON.parse(await nextLine()),
    err: () => err,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop()
    },
  }
}

function start(args: readonly string[], [file = '', ...words]: readonly string[]): ChildProcess {
  return spawn(file, [...words, ...args], { stdio: 'pipe' })
}
