import type { Effects } from '../../shared/effects.ts'

interface Timer {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

/** Numbers in [0, 1) that `seed` decides alone (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** Effects whose time passes only when a test says so. The same seed gives the same run. */
export class FakeEffects implements Effects {
  #now: number
  #date: number
  #order = 0
  readonly #timers: Timer[] = []
  readonly #random: () => number

  constructor(options: { seed?: number; now?: number; date?: number } = {}) {
    this.#now = options.now ?? 1_000
    this.#date = options.date ?? Date.UTC(2027, 0, 1)
    this.#random = seededRandom(options.seed ?? 1)
  }

  /** How many timers wait. */
  get timerCount(): number {
    return this.#timers.length
  }

  now(): number {
    return this.#now
  }

  date(): number {
    return this.#date
  }

  random(): number {
    return this.#random()
  }

  randomBytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => Math.floor(this.#random() * 256)))
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, order: this.#order++, callback }
    let index = this.#timers.length
    while (index > 0 && isBefore(timer, this.#timers[index - 1] as Timer)) index--
    this.#timers.splice(index, 0, timer)
    return () => {
      const at = this.#timers.indexOf(timer)
      if (at !== -1) this.#timers.splice(at, 1)
    }
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error)
        return
      }
      const onAbort = () => {
        cancel()
        reject(signal.reason as Error)
      }
      const cancel = this.after(ms, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Lets `ms` pass: every timer that falls due runs at its time, also those that the others set. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (let timer = this.#timers[0]; timer !== undefined && timer.at <= until; timer = this.#timers[0]) {
      this.#timers.shift()
      this.#passTo(timer.at)
      timer.callback()
    }
    this.#passTo(until)
  }

  /** The same for code that awaits: what a timer set going gets a turn of the event loop before the next one. */
  async elapse(ms: number): Promise<void> {
    const until = this.#now + ms
    await nextTurn()
    for (let timer = this.#timers[0]; timer !== undefined && timer.at <= until; timer = this.#timers[0]) {
      this.#timers.shift()
      this.#passTo(timer.at)
      timer.callback()
      await nextTurn()
    }
    this.#passTo(until)
  }

  /** Time passes and no timer runs, as when the machine sleeps: those that fell due run at the next `advance`. */
  jump(ms: number): void {
    this.#passTo(this.#now + ms)
  }

  #passTo(at: number): void {
    if (at <= this.#now) return
    this.#date += at - this.#now
    this.#now = at
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
