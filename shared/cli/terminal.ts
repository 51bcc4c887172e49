import type { Readable, Writable } from 'node:stream'

/** Signals that ask a command to end. */
export type EndSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/** What a command may know of the process it runs in. The real one is here; tests bring their own. */
export interface Terminal {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
  /** True where a person sees standard error, so that a line may be rewritten. */
  readonly interactive: boolean
  /** True where SALLYPORT_DEBUG is set: stack traces are shown. */
  readonly debug: boolean
  /** Calls `listener` at each request to end, until the answer is called. */
  onEndSignal(listener: (signal: EndSignal) => void): () => void
  /** Sets the status with which the process will end by itself. */
  setExitStatus(status: number): void
  /** Ends the process at once. */
  exit(status: number): void
}

const END_SIGNALS: readonly EndSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** The process itself: with shared/effects.ts, the only place of shared/ that touches process-wide state. */
export const realTerminal: Terminal = {
  get stdin() {
    return process.stdin
  },
  get stdout() {
    return process.stdout
  },
  get stderr() {
    return process.stderr
  },
  get interactive() {
    return process.stderr.isTTY === true
  },
  get debug() {
    return (process.env.SALLYPORT_DEBUG ?? '') !== ''
  },
  onEndSignal(listener) {
    for (const signal of END_SIGNALS) process.on(signal, listener)
    return () => {
      for (const signal of END_SIGNALS) process.off(signal, listener)
    }
  },
  setExitStatus(status) {
    process.exitCode = status
  },
  exit(status) {
    process.exit(status)
  },
}
