import { type DestinationStream, pino } from 'pino'
import { TunnelError } from '../../shared/errors.ts'
import { createLog, type Logger, type LogOptions, standardError } from '../../shared/log.ts'
import { LogFile } from './log-file.ts'

const MIB = 1024 * 1024

/** How an agent logs. */
export interface LogFlags {
  readonly logLevel: LogOptions['level']
  readonly logFile?: string
  /** Largest size of a log file in MiB, as text: 1 to 1,024. */
  readonly logSize: string
  /** Most log files, as text: 1 to 100. */
  readonly logKeep: string
}

/** A log, and what has to be written and closed at the end. */
export interface OpenLog extends Disposable {
  readonly log: Logger
}

/**
 * The log of an agent: on standard error, or in a file that is put aside when it is full. With a file, warnings and errors
 * stand on standard error too, where a service manager sees them.
 * @throws {TunnelError} USAGE, CONFIG
 */
export function openLog(flags: LogFlags, environment: NodeJS.ProcessEnv): OpenLog {
  const { logLevel: level, logFile: path } = flags
  const console = environment.JOURNAL_STREAM === undefined ? standardError() : withPriority(standardError())
  if (path === undefined) return { log: createLog({ level, destination: console }), [Symbol.dispose]() {} }
  const maxBytes = wholeNumber('--log-size', flags.logSize, 1_024) * MIB
  const file = new LogFile({ path, maxBytes, keep: wholeNumber('--log-keep', flags.logKeep, 100) })
  const destination = pino.multistream([
    { stream: file, level: 'trace' },
    { stream: console, level: 'warn' },
  ])
  return { log: createLog({ level, destination }), [Symbol.dispose]: () => file[Symbol.dispose]() }
}

/** Puts the priority before each line as the journal reads it (sd-daemon(3)), so that `journalctl -p warning` works. */
export function withPriority(to: DestinationStream): DestinationStream {
  return { write: (line) => to.write(`<${priorityOf(line)}>${line}`) }
}

function priorityOf(line: string): number {
  const level = Number(/^\{"level":(\d+)/.exec(line)?.[1])
  if (level >= 50) return 3
  if (level >= 40) return 4
  return level >= 30 ? 6 : 7
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = /^[1-9]\d{0,3}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > most)
    throw new TunnelError('USAGE', `${option} is a whole number from 1 to ${most}.`)
  return value
}
