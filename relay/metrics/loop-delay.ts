import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Effects } from '../../shared/effects.ts'

/** How often the delay is sampled, in ms. */
const RESOLUTION_MS = 20

/** What is told covers the last one to two of these, in ms. */
const WINDOW_MS = 60_000

const NS_PER_S = 1e9

/** How late the event loop runs its timers. */
export interface LoopDelay extends Disposable {
  /** The 99th percentile of the last one to two minutes, in seconds. */
  p99(): number
}

/** Watches the event loop of this process from now on. */
export function watchLoopDelay(effects: Pick<Effects, 'after'>): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  // The histogram counts from one sample to the next, so what is on time is the interval itself.
  const current = () => {
    const late = histogram.percentile(99) / NS_PER_S - RESOLUTION_MS / 1_000
    return histogram.count === 0 ? 0 : Math.max(0, late)
  }
  let former = 0
  let cancel = effects.after(WINDOW_MS, turn)
  function turn() {
    former = current()
    histogram.reset()
    cancel = effects.after(WINDOW_MS, turn)
  }
  return {
    p99: () => Math.max(former, current()),
    [Symbol.dispose]() {
      cancel()
      histogram.disable()
    },
  }
}
