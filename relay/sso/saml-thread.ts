import type { Worker } from 'node:worker_threads'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { startThread } from '../../shared/thread.ts'
import type { SamlAnswer, SamlJob } from './saml-message.ts'

/** The asset of a single executable that holds saml-worker.ts with all that it imports, as one CommonJS script. */
export const SAML_WORKER_ASSET = 'saml-worker.js'

/** What the messages of all SAML providers may take. The worst that fits the limits of one takes 0.4 s of a core that has time. */
export const SAML_THREAD_LIMITS = {
  /** For one message, in ms; then the thread is ended and another takes its place. */
  messageMs: 3_000,
  /** How long a message waits for those before it, in ms. */
  waitMs: 10_000,
  /** Messages that wait. */
  waiting: 16,
  /** Until a new thread has loaded its code, in ms. */
  startMs: 20_000,
  /** MiB of the thread's heap; it loads into 20. */
  heapMb: 96,
} as const

interface Task {
  readonly job: SamlJob
  readonly resolve: (answer: SamlAnswer) => void
  readonly reject: (error: Error) => void
  /** Stops its clock. */
  cancel: () => void
}

/**
 * Reads messages of SAML providers in one thread of its own, one after the other: whatever is in them, the loop that carries
 * everybody's streams goes on. The thread starts with the first message and stays.
 */
export class SamlThread {
  readonly #effects: Pick<Effects, 'after'>
  readonly #waiting: Task[] = []
  #worker: Worker | undefined
  #isReady = false
  #cancelStart: () => void = () => undefined
  #current: Task | undefined

  constructor(effects: Pick<Effects, 'after'>) {
    this.#effects = effects
  }

  /** @throws {TunnelError} OVERLOADED where too many wait, or wait too long; SIGN_ON where it took too long or too much */
  async read(job: SamlJob): Promise<SamlAnswer> {
    if (this.#waiting.length >= SAML_THREAD_LIMITS.waiting) throw overloaded()
    const { promise, resolve, reject } = Promise.withResolvers<SamlAnswer>()
    const task: Task = { job, resolve, reject, cancel: () => undefined }
    task.cancel = this.#effects.after(SAML_THREAD_LIMITS.waitMs, () => {
      this.#waiting.splice(this.#waiting.indexOf(task), 1)
      reject(overloaded())
    })
    this.#waiting.push(task)
    this.#next()
    return promise
  }

  /** Ends the thread, and with an error whatever it was asked. */
  stop(): void {
    const waiting = this.#waiting.splice(0)
    this.#replace(new TunnelError('CANCELLED'), waiting)
  }

  #next(): void {
    if (this.#current !== undefined || this.#waiting.length === 0) return
    this.#worker ??= this.#start()
    if (!this.#isReady) return
    const task = this.#waiting.shift()
    if (task === undefined) return
    this.#current = task
    task.cancel()
    task.cancel = this.#effects.after(SAML_THREAD_LIMITS.messageMs, () =>
      this.#replace(new TunnelError('SIGN_ON', 'The SAML message took too long to look at.')),
    )
    this.#worker.ref()
    this.#worker.postMessage(task.job)
  }

  #start(): Worker {
    const worker = startThread(
      { asset: SAML_WORKER_ASSET, beside: import.meta.url, path: './saml-worker' },
      { resourceLimits: { maxOldGenerationSizeMb: SAML_THREAD_LIMITS.heapMb, maxYoungGenerationSizeMb: 16 } },
    )
    const fail = (cause?: unknown) => {
      if (worker !== this.#worker) return
      const why = 'The thread that looks at SAML messages failed.'
      if (this.#isReady) this.#replace(new TunnelError('SIGN_ON', why, { cause }))
      else this.#replace(new TunnelError('INTERNAL', why, { cause }), this.#waiting.splice(0))
    }
    this.#cancelStart = this.#effects.after(SAML_THREAD_LIMITS.startMs, fail)
    worker.on('error', fail)
    worker.on('exit', () => fail())
    worker.on('message', (message: 'ready' | SamlAnswer) => {
      if (worker !== this.#worker) return
      if (message === 'ready') this.#ready(worker)
      else this.#answered(worker, message)
    })
    return worker
  }

  #ready(worker: Worker): void {
    this.#cancelStart()
    this.#isReady = true
    worker.unref()
    this.#next()
  }

  #answered(worker: Worker, answer: SamlAnswer): void {
    const task = this.#current
    this.#current = undefined
    worker.unref()
    task?.cancel()
    task?.resolve(answer)
    this.#next()
  }

  /** Ends the thread with what it was at, and `others`. The next message gets a new one. */
  #replace(error: TunnelError, others: readonly Task[] = []): void {
    const failed = this.#current === undefined ? others : [this.#current, ...others]
    void this.#worker?.terminate()
    this.#worker = undefined
    this.#current = undefined
    this.#isReady = false
    this.#cancelStart()
    for (const task of failed) {
      task.cancel()
      task.reject(error)
    }
    this.#next()
  }
}

function overloaded(): TunnelError {
  return new TunnelError('OVERLOADED', 'Too many SAML messages at once.')
}
