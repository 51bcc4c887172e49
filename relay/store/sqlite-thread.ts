import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { TunnelError } from '../../shared/errors.ts'
import { Ring } from '../../shared/mux/ring.ts'
import { startThread } from '../../shared/thread.ts'
import { storeError, type Writer } from './sqlite-dialect.ts'
import type { Outcome, SqliteFailure } from './sqlite-statements.ts'

/** The asset of an executable that holds the code of the thread. */
export const STORE_WORKER_ASSET = 'sqlite-worker.js'

/** What the thread is sent. */
export type WriterRequest = { readonly sql: string; readonly values: readonly unknown[] } | 'close'

/** What it answers, first that it is ready, then to each statement in order. */
export type WriterAnswer = { readonly outcome: Outcome } | { readonly failure: SqliteFailure }

type Waiting = PromiseWithResolvers<Outcome>

/**
 * Changes the database file in a thread of its own: a commit waits for the disk, for seconds where that is busy, and bytes of
 * streams must not wait with it. It keeps no process alive but while something is under way.
 */
export class SqliteThread implements Writer {
  readonly #worker: Worker
  readonly #waiting = new Ring<Waiting>()
  #ended: TunnelError | undefined

  private constructor(path: string) {
    this.#worker = startThread(
      { asset: STORE_WORKER_ASSET, beside: import.meta.url, path: './sqlite-worker' },
      { workerData: path },
    )
    this.#worker.on('message', (answer: WriterAnswer) => this.#answered(answer))
    this.#worker.on('error', (cause) => this.#end(cause))
    this.#worker.on('exit', () => this.#end())
  }

  /**
   * @param path a file that {@link openDatabase} has found whole
   * @throws {TunnelError} STORE
   */
  static async open(path: string): Promise<SqliteThread> {
    const thread = new SqliteThread(path)
    try {
      await thread.#answer()
      return thread
    } catch (err) {
      await thread.#worker.terminate()
      throw err
    }
  }

  async run(sql: string, values: readonly unknown[]): Promise<Outcome> {
    if (this.#ended !== undefined) throw this.#ended
    this.#worker.postMessage({ sql, values } satisfies WriterRequest)
    return this.#answer()
  }

  async close(): Promise<void> {
    if (this.#ended !== undefined) return
    this.#worker.ref()
    const exit = once(this.#worker, 'exit')
    this.#worker.postMessage('close' satisfies WriterRequest)
    await exit
  }

  #answer(): Promise<Outcome> {
    if (this.#waiting.length === 0) this.#worker.ref()
    const waiting = Promise.withResolvers<Outcome>()
    this.#waiting.push(waiting)
    return waiting.promise
  }

  #answered(answer: WriterAnswer): void {
    const waiting = this.#waiting.shift()
    if (this.#waiting.length === 0) this.#worker.unref()
    if ('outcome' in answer) waiting?.resolve(answer.outcome)
    else waiting?.reject(storeError(answer.failure))
  }

  /** Whatever waits, and comes later, fails: what the thread was at is whole or was never there. */
  #end(cause?: unknown): void {
    this.#ended ??= new TunnelError('STORE', 'The thread that writes the store has ended.', {
      ...(cause === undefined ? {} : { cause }),
      next: 'start the relay again',
    })
    while (this.#waiting.length > 0) this.#waiting.shift()?.reject(this.#ended)
  }
}
