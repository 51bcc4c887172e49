import { createLog, type Logger } from '../../shared/log.ts'
import { within } from './deadline.ts'

/** One line of a log. */
export type LogRecord = Readonly<Record<string, unknown>> & { readonly msg: string }

/** A log that prints nothing, keeps its lines and tells who waits for one. */
export interface RecordedLog {
  readonly log: Logger
  readonly records: readonly LogRecord[]
  /** How many lines there are, for `until` to look behind them only. */
  readonly length: number
  /** The first line from `from` on that has the message and the fields; those that are there already count. */
  until(msg: string, fields?: Readonly<Record<string, unknown>>, from?: number): Promise<LogRecord>
}

export function recordLog(): RecordedLog {
  const records: LogRecord[] = []
  const waiting = new Set<() => void>()
  const log = createLog({
    level: 'debug',
    destination: {
      write(line: string) {
        records.push(JSON.parse(line) as LogRecord)
        for (const look of [...waiting]) look()
      },
    },
  })
  return {
    log,
    records,
    get length() {
      return records.length
    },
    until(msg, fields = {}, from = 0) {
      const wanted = Object.entries(fields)
      const found = new Promise<LogRecord>((resolve) => {
        const look = () => {
          const record = records
            .slice(from)
            .find((line) => line.msg === msg && wanted.every(([key, value]) => line[key] === value))
          if (record === undefined) return
          waiting.delete(look)
          resolve(record)
        }
        waiting.add(look)
        look()
      })
      return within(found, `the log line "${msg}" ${JSON.stringify(fields)}`)
    },
  }
}
