import type { Writable } from 'node:stream'
import { inspect } from 'node:util'
import { type Effects, realEffects } from '../effects.ts'
import { EXIT } from '../errors.ts'
import { describeFailure, failureLines } from './failure.ts'
import { printable } from './printable.ts'

/** How long work may take before a person is told what is being waited for. */
const QUIET_MS = 1000

export interface OutputOptions {
  /** One JSON object a line for programs instead of text for people. */
  readonly json: boolean
  readonly stdout: Writable
  readonly stderr: Writable
  /** Standard error is a terminal; false by default. */
  readonly interactive?: boolean
  /** Show stack traces; false by default. */
  readonly debug?: boolean
  readonly effects?: Pick<Effects, 'now' | 'after'>
}

/** What a command says. Results go to standard output, everything else to standard error. */
export interface Output {
  readonly json: boolean
  /** A result: `value` as one line of JSON for a program, `text` (a line, or several) for a person. */
  result(value: Readonly<Record<string, unknown>>, text: string | readonly string[]): void
  /** Something worth knowing that is no result; programs are spared it. */
  note(text: string | readonly string[]): void
  /** Tells what went wrong and gives the exit status for it. Interrupted by the user is no news to the user. */
  fail(error: unknown): number
  /** Waits for `work` and, where it takes more than a second, says so. Gives back what `work` gives. */
  progress<T>(label: string, work: Promise<T>): Promise<T>
}

/** Output for one command. Each text line is made harmless for terminals first. */
export function createOutput(options: OutputOptions): Output {
  const { json, stdout, stderr, interactive = false, effects = realEffects } = options
  const write = (stream: Writable, text: string | readonly string[]) => {
    const lines = typeof text === 'string' ? [text] : text
    for (const line of lines) stream.write(`${printable(line)}\n`)
  }
  return {
    json,
    result(value, text) {
      if (json) stdout.write(`${JSON.stringify(value)}\n`)
      else write(stdout, text)
    },
    note(text) {
      if (!json) write(stderr, text)
    },
    fail(error) {
      const report = describeFailure(error)
      if (json) stdout.write(`${JSON.stringify({ error: report })}\n`)
      else if (report.exit !== EXIT.interrupted) write(stderr, failureLines(report))
      if (options.debug === true) stderr.write(`${inspect(error)}\n`)
      return report.exit
    },
    async progress(label, work) {
      const stop = json ? () => {} : startProgress(printable(label), { stderr, interactive, effects })
      try {
        return await work
      } finally {
        stop()
      }
    },
  }
}

interface ProgressOptions {
  readonly stderr: Writable
  readonly interactive: boolean
  readonly effects: Pick<Effects, 'now' | 'after'>
}

/** A terminal sees one line that counts the seconds and then goes; a log file sees one line, once. */
function startProgress(label: string, { stderr, interactive, effects }: ProgressOptions): () => void {
  const start = effects.now()
  let shown = false
  let cancel = effects.after(QUIET_MS, tick)
  function tick(): void {
    shown = true
    if (!interactive) {
      stderr.write(`${label} ...\n`)
      return
    }
    const seconds = Math.round((effects.now() - start) / 1000)
    stderr.write(`\r\u001b[2K${label} ... ${seconds} s`)
    cancel = effects.after(QUIET_MS, tick)
  }
  return () => {
    cancel()
    if (shown && interactive) stderr.write('\r\u001b[2K')
  }
}
