import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import * as v from 'valibot'
import { ERRORS, type ErrorCode, errorEntry, TunnelError } from '../shared/errors.ts'
import { endProcess, type Scratch } from './scratch.ts'

/** A line that a command printed with `--json`. */
export type Line = Readonly<Record<string, unknown>>

/** A command that stays. */
export interface Running {
  /** All fields of the lines up to the one that said it was ready. */
  readonly facts: Line
  /** Resolves with the reason when it ends, asked to or not. */
  readonly ended: Promise<TunnelError>
  stop(): Promise<void>
}

/** The command line as its users have it: `bin/sallyport.js` in a process of its own, with `--json`. */
export interface Sallyport {
  /**
   * Runs a command to its end and gives what it printed last.
   * @param input standard input, for what must not stand in argv
   * @throws {TunnelError} what the command failed with
   */
  ask(args: readonly string[], input?: string): Promise<Line>
  /**
   * Starts a command that stays; its log goes to `name`.log.
   * @param isReady whether this line says that it is ready
   * @throws {TunnelError} what the command failed with
   */
  run(name: string, args: readonly string[], isReady: (line: Line) => boolean): Promise<Running>
}

/** How long a command may take to be ready or done, in ms. */
const COMMAND_MS = 30_000
const LAUNCHER = join(import.meta.dirname, '../bin/sallyport.js')

const lineSchema = v.pipe(v.string(), v.maxLength(65_536), v.parseJson(), v.record(v.string(), v.unknown()))
const failureSchema = v.object({
  error: v.object({
    code: v.picklist(Object.keys(ERRORS)),
    message: v.string(),
    cause: v.optional(v.string()),
    next: v.string(),
  }),
})

/** Commands whose processes `scratch` guards. They are given up when `signal` aborts. */
export function createSallyport(scratch: Scratch, signal: AbortSignal): Sallyport {
  const start = (name: string, args: readonly string[]) => {
    signal.throwIfAborted()
    const logFile = join(scratch.logs, `${name}.log`)
    const log = openSync(logFile, 'a')
    const child = spawn(process.execPath, [LAUNCHER, ...args, '--json'], {
      stdio: ['pipe', 'pipe', log],
      // Ctrl-C in the terminal reaches us alone, and we decide in which order things end.
      detached: process.platform !== 'win32',
    }) as ChildProcessByStdio<Writable, Readable, null>
    closeSync(log)
    scratch.guard(child)
    child.stdin.on('error', () => undefined)
    return { child, logFile, command: `sallyport ${args.slice(0, 2).join(' ')}` }
  }
  return {
    async ask(args, input = '') {
      const started = start('commands', args)
      started.child.stdin.end(input)
      const lines: Line[] = []
      const error = await inTime(endOf(started, lines), signal)
      if (started.child.exitCode !== 0) throw error
      return lines.at(-1) ?? {}
    },
    async run(name, args, isReady) {
      const started = start(name, args)
      started.child.stdin.end()
      const lines: Line[] = []
      const { promise: ready, resolve } = Promise.withResolvers<undefined>()
      const ended = endOf(started, lines, (line) => {
        if (isReady(line)) resolve(undefined)
      })
      const error = await inTime(Promise.race([ready, ended]), signal)
      if (error !== undefined) throw error
      return { facts: Object.assign({}, ...lines), ended, stop: () => endProcess(started.child) }
    },
  }
}

interface Started {
  readonly child: ChildProcessByStdio<Writable, Readable, null>
  readonly logFile: string
  readonly command: string
}

/** Puts what a command prints into `lines`, and resolves when it has ended with the reason in its own words. */
async function endOf(
  { child, logFile, command }: Started,
  lines: Line[],
  onLine: (line: Line) => void = () => undefined,
): Promise<TunnelError> {
  createInterface({ input: child.stdout }).on('line', (text) => {
    const parsed = v.safeParse(lineSchema, text)
    const line = parsed.success ? parsed.output : { text }
    lines.push(line)
    onLine(line)
  })
  const [status, signal] = await once(child, 'close').catch((cause: Error) => [cause.message])
  const said = v.safeParse(failureSchema, lines.at(-1))
  if (!said.success) {
    return new TunnelError('INTERNAL', `"${command}" ended with ${signal ?? status}.`, {
      leg: 'local',
      next: `look at ${logFile}`,
    })
  }
  const { message, cause, next } = said.output.error
  const code = said.output.error.code as ErrorCode
  // The message is made again from code and detail.
  const detail = message.slice(errorEntry(code).text.length).trim()
  return new TunnelError(code, `${detail} ("${command}")`.trim(), { next, cause })
}

async function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const late = AbortSignal.timeout(COMMAND_MS)
  const given = AbortSignal.any([signal, late])
  const { promise: givenUp, reject } = Promise.withResolvers<never>()
  const onAbort = () => {
    reject(signal.aborted ? signal.reason : new TunnelError('INTERNAL', 'A command takes too long.'))
  }
  given.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, givenUp])
  } finally {
    given.removeEventListener('abort', onAbort)
  }
}
