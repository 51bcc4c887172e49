import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { TunnelError } from '../../shared/errors.ts'

/** Most bytes of lines that wait for the end of a turn; beyond that they are written at once. */
const MAX_WAITING_BYTES = 64 * 1024
/** Only this agent's user and root may read what its streams were. */
const MODE = 0o600

export interface LogFileOptions {
  readonly path: string
  /** A file that has reached this size in bytes is put aside. */
  readonly maxBytes: number
  /** How many files there are at most, the present one included; 1 to 100. */
  readonly keep: number
}

/**
 * A log file that is put aside as `FILE.1`, `FILE.2` and so on when it is full. Lines are written at the end of a turn, all at
 * once. A disk that is full costs lines, never the agent: how many stands in the first line that fits again.
 */
export class LogFile implements Disposable {
  readonly #options: LogFileOptions
  #file: number
  #size: number
  #waiting: string[] = []
  #waitingBytes = 0
  #lost = 0
  #isClosed = false

  /** @throws {TunnelError} CONFIG where the file cannot be opened */
  constructor(options: LogFileOptions) {
    this.#options = options
    try {
      this.#file = openSync(options.path, 'a', MODE)
      this.#size = fstatSync(this.#file).size
    } catch (cause) {
      throw new TunnelError('CONFIG', `The log file ${options.path} cannot be opened.`, {
        cause,
        next: 'name a file in a directory that this user may write: --log-file FILE',
      })
    }
  }

  /** Takes a line with its line break. Lines that come after the end are dropped: the descriptor may be another file by then. */
  write(line: string): void {
    if (this.#isClosed) return
    if (this.#waiting.length === 0) setImmediate(() => this.flush())
    this.#waiting.push(line)
    this.#waitingBytes += Buffer.byteLength(line)
    if (this.#waitingBytes > MAX_WAITING_BYTES) this.flush()
  }

  /** Writes what waits. */
  flush(): void {
    const lines = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    if (lines.length === 0) return
    if (this.#lost > 0)
      lines.unshift(`${JSON.stringify({ level: 50, lost: this.#lost, msg: 'log lines lost' })}\n`)
    try {
      if (this.#size >= this.#options.maxBytes) this.#rotate()
      this.#size += writeSync(this.#file, lines.join(''))
      this.#lost = 0
    } catch {
      this.#lost += lines.length - (this.#lost > 0 ? 1 : 0)
    }
  }

  [Symbol.dispose](): void {
    this.flush()
    this.#isClosed = true
    closeSync(this.#file)
  }

  #rotate(): void {
    const { path, keep } = this.#options
    for (let n = keep - 1; n >= 1; n--) renameIfThere(n === 1 ? path : `${path}.${n - 1}`, `${path}.${n}`)
    const next = openSync(path, keep === 1 ? 'w' : 'a', MODE)
    closeSync(this.#file)
    this.#file = next
    this.#size = fstatSync(next).size
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw err
  }
}
