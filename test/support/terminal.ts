import { PassThrough, Readable } from 'node:stream'
import type { EndSignal, Terminal } from '../../shared/cli/terminal.ts'

/** A terminal that keeps what was written and lets a test press Ctrl-C. */
export interface FakeTerminal extends Terminal {
  /** All that was written to standard output. */
  out(): string
  /** All that was written to standard error. */
  err(): string
  press(signal: EndSignal): void
  /** The exit status set last. */
  readonly status: number | undefined
  /** The statuses of each call that would have ended the process at once. */
  readonly exits: readonly number[]
}

export interface FakeTerminalOptions {
  readonly interactive?: boolean
  readonly debug?: boolean
  /** What stands on standard input. */
  readonly input?: readonly Buffer[]
}

export function fakeTerminal(options: FakeTerminalOptions = {}): FakeTerminal {
  const stdout = collector()
  const stderr = collector()
  const listeners = new Set<(signal: EndSignal) => void>()
  const exits: number[] = []
  let status: number | undefined
  return {
    stdin: Readable.from(options.input ?? []),
    stdout: stdout.stream,
    stderr: stderr.stream,
    interactive: options.interactive ?? false,
    debug: options.debug ?? false,
    onEndSignal(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    setExitStatus(value) {
      status = value
    },
    exit(value) {
      exits.push(value)
    },
    out: stdout.text,
    err: stderr.text,
    press(signal) {
      for (const listener of listeners) listener(signal)
    },
    get status() {
      return status
    },
    exits,
  }
}

function collector(): { stream: PassThrough; text: () => string } {
  const stream = new PassThrough()
  let text = ''
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return { stream, text: () => text }
}
