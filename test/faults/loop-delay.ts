import { appendFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread } from 'node:worker_threads'

/**
 * Loaded into a process before its program by NODE_OPTIONS, see test/faults/laps.ts: at each SIGUSR2 it collects garbage and
 * appends to the file LOOP_DELAY_FILE.PID one line of JSON with how late the event loop was since the line before.
 */

/** How often it looks, in ms. */
const LOOK_MS = 5

const file = process.env.LOOP_DELAY_FILE
if (file !== undefined && isMainThread) {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const delay = monitorEventLoopDelay({ resolution: LOOK_MS })
  delay.enable()
  process.on('SIGUSR2', () => {
    // What it measures is from look to look, and counts in ns.
    const late = (ns: number) => Math.max(0, ns / 1e6 - LOOK_MS)
    const lap = { p50: late(delay.percentile(50)), p99: late(delay.percentile(99)), most: late(delay.max) }
    collect()
    appendFileSync(`${file}.${process.pid}`, `${JSON.stringify(lap)}\n`)
    delay.reset()
  })
}
