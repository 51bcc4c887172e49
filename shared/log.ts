import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/** Paths whose values never reach a log line, whoever logs them. */
const REDACTED = ['token', 'password', 'key', 'secret', 'authorization', 'cookie'].flatMap((name) => [
  name,
  `*.${name}`,
  `headers.${name}`,
])

export interface LogOptions {
  readonly level: 'silent' | 'error' | 'warn' | 'info' | 'debug' | 'trace'
  /** Where the lines go; standard error by default, so that standard output stays for results. */
  readonly destination?: DestinationStream
}

/**
 * One JSON object a line. The message is constant and the values are fields; control characters are escaped by
 * JSON. No worker transports: they fail in single executables.
 */
export function createLog(options: LogOptions): Logger {
  return pino(
    { level: options.level, base: null, redact: { paths: REDACTED, censor: '[redacted]' } },
    options.destination ?? standardError(),
  )
}

/** Lines wait so long at most to be written together, in ms. */
const FLUSH_MS = 100

/**
 * Standard error, a few lines at a time: a write for each stream would cost a tenth of what the stream does. What is still
 * waiting when the process ends is written then.
 */
export function standardError(): DestinationStream {
  const destination = pino.destination({ fd: 2, sync: false, minLength: 4_096 })
  process.on('exit', () => {
    try {
      destination.flushSync()
    } catch {
      // It was never opened, or nobody reads it any more: there is nowhere left to say so.
    }
  })
  let isWaiting = false
  // The library's own timer goes off ten times a second for ever, which is most of what an idle process does.
  const flush = () => {
    isWaiting = false
    destination.flush()
  }
  return {
    write(line) {
      destination.write(line)
      if (isWaiting) return
      isWaiting = true
      setTimeout(flush, FLUSH_MS).unref()
    },
  }
}
