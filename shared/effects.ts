import { randomBytes } from 'node:crypto'

/**
 * All that a deterministic core may want from the outside. The real one is here; tests bring their own, so no
 * unit test waits for a clock. Times are milliseconds.
 */
export interface Effects {
  /** Monotonic milliseconds with fractions; never goes back, unrelated to the calendar. */
  now(): number
  /** Wall-clock milliseconds since 1970, for certificates and records only. */
  date(): number
  /** A number in [0, 1), for jitter only: never for secrets. */
  random(): number
  /** `length` bytes from the system's secure source. */
  randomBytes(length: number): Buffer
  /** Calls `callback` once after `ms`, 0 to 2^31-1; the answer cancels it. The timer does not keep the process alive. */
  after(ms: number, callback: () => void): () => void
  /** Resolves after `ms`; rejects with the signal's reason when it aborts. Keeps the process alive. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** Asking the system for 16 bytes costs as much as for 4,096, so they are taken from a reserve; none is given twice. */
const RESERVE_BYTES = 4_096
let reserve = Buffer.alloc(0)
let given = 0

function takeRandom(length: number): Buffer {
  if (length > 64) return randomBytes(length)
  if (given + length > reserve.length) {
    reserve = randomBytes(RESERVE_BYTES)
    given = 0
  }
  const taken = Buffer.allocUnsafe(length)
  for (let index = 0; index < length; index++) {
    taken[index] = reserve[given] as number
    reserve[given++] = 0
  }
  return taken
}

export const realEffects: Effects = {
  now: () => performance.now(),
  date: () => Date.now(),
  random: () => Math.random(),
  randomBytes: takeRandom,
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error)
        return
      }
      const onAbort = () => {
        clearTimeout(timer)
        reject(signal.reason as Error)
      }
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }, ms)
      signal.addEventListener('abort', onAbort, { once: true })
    }),
}
