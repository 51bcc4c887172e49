import { type DestinationStream, type Logger, pino } from 'pino'
import { CENSOR } from './secret.ts'

export type { Logger } from 'pino'

/** Fields whose values never reach a log line, whoever logs them, nor in an object one level below. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'token',
  'password',
  'key',
  'secret',
  'authorization',
  'cookie',
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
  const log = pino(
    {
      level: options.level,
      base: null,
      formatters: { log: censored },
      serializers: { err: (err: Error) => censored({ ...pino.stdSerializers.err(err) }) },
    },
    options.destination ?? standardError(),
  )
  // The library's formatter of bindings does not hold for children.
  const { child } = log
  Object.assign(log, {
    child(this: Logger, bindings: Record<string, unknown>, ...rest: unknown[]): Logger {
      return Reflect.apply(child, this, [censored(bindings), ...rest])
    },
  })
  return log
}

/** `fields` without secrets. The library's own way copies every line, which is three quarters of what a line costs. */
function censored(fields: Record<string, unknown>): Record<string, unknown> {
  let clean = fields
  for (const name in fields) {
    const isSecret = SECRET_FIELDS.has(name) && fields[name] !== undefined
    const value = isSecret ? CENSOR : shown(fields[name])
    if (value === fields[name]) continue
    if (clean === fields) clean = { ...fields }
    clean[name] = value
  }
  return clean
}

/** A value one level below: a plain object with a secret is copied, an error has a serializer of its own. */
function shown(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Error) return value
  const names = Object.keys(value).filter((name) => SECRET_FIELDS.has(name))
  if (names.length === 0) return value
  return { ...value, ...Object.fromEntries(names.map((name) => [name, CENSOR])) }
}

/** Lines wait so long at most to be written together, in ms. */
const FLUSH_MS = 100

/** So many UTF-16 units of lines wait for no more. */
const FLUSH_UNITS = 4_096

/**
 * Standard error, a few lines at a time: a write for each stream would cost a tenth of what the stream does. What is still
 * waiting when the process ends is written then.
 */
export function standardError(): DestinationStream {
  // The library's own waiting looks at the length of each line, and its timer goes off ten times a second for ever.
  const destination = pino.destination({ fd: 2, sync: false })
  let waiting = ''
  let isTimed = false
  const flush = () => {
    const lines = waiting
    waiting = ''
    if (lines !== '') destination.write(lines)
  }
  process.on('exit', () => {
    try {
      flush()
      destination.flushSync()
    } catch {
      // It was never opened, or nobody reads it any more: there is nowhere left to say so.
    }
  })
  const onTime = () => {
    isTimed = false
    flush()
  }
  return {
    write(line) {
      waiting += line
      if (waiting.length >= FLUSH_UNITS) flush()
      else if (!isTimed) {
        isTimed = true
        setTimeout(onTime, FLUSH_MS).unref()
      }
    },
  }
}
