import { setImmediate } from 'node:timers/promises'
import { Ring } from '../../shared/mux/ring.ts'

/** Tasks that run before everything else gets its turn again: of look-ups in the store, half a millisecond. */
const PER_TURN = 8

/**
 * Runs tasks one after the other, in the order in which they came, a few in each turn of the event loop: who asks for
 * thousands at once waits for them, and nobody else does.
 */
export class Turns {
  readonly #waiting = new Ring<() => Promise<void>>()
  #isRunning = false

  /** What `task` gives, once it was its turn. */
  run<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => task().then(resolve, reject))
      if (!this.#isRunning) void this.#work()
    })
  }

  async #work(): Promise<void> {
    this.#isRunning = true
    let done = 0
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      this.#waiting.shift()
      await next()
      if (++done % PER_TURN === 0) await setImmediate()
    }
    this.#isRunning = false
  }
}
