import type { Effects } from '../../shared/effects.ts'

/** What happens within so many ms is told together. */
const INTERVAL_MS = 1_000

/**
 * For what strangers can cause: a flood at the door must not become a flood in the log.
 * @param tell is called with the first of each second, at its end, and how many there were
 */
export function occasionally<T>(
  effects: Pick<Effects, 'after'>,
  tell: (first: T, count: number) => void,
): (one: T) => void {
  let count = 0
  return (one) => {
    count++
    if (count > 1) return
    effects.after(INTERVAL_MS, () => {
      const all = count
      count = 0
      tell(one, all)
    })
  }
}
