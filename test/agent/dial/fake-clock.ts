import type { Effects } from '../../../shared/effects.ts'

/** A clock that stands still until it is told to move. */
export interface FakeClock extends Pick<Effects, 'now' | 'after'> {
  /** Moves the time on and runs what falls due, in order, letting promises settle before and after each. */
  advance(ms: number): Promise<void>
  /** Timers that are still armed. */
  pending(): number
}

export function fakeClock(): FakeClock {
  let now = 0
  const timers = new Map<() => void, { due: number; callback: () => void }>()
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
  return {
    now: () => now,
    after: (ms, callback) => {
      const cancel = () => {
        timers.delete(cancel)
      }
      timers.set(cancel, { due: now + ms, callback })
      return cancel
    },
    pending: () => timers.size,
    advance: async (ms) => {
      const end = now + ms
      for (;;) {
        await settle()
        const [next] = [...timers].filter(([, t]) => t.due <= end).sort(([, a], [, b]) => a.due - b.due)
        if (next === undefined) break
        const [cancel, timer] = next
        cancel()
        now = timer.due
        timer.callback()
      }
      now = end
    },
  }
}
