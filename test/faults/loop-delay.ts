import { writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * Loaded into a process before its program by NODE_OPTIONS: writes the 99th percentile of its event loop's delay in ms, of the
 * last second each, to the file LOOP_DELAY_FILE.PID, one line a second.
 */

const file = process.env.LOOP_DELAY_FILE
if (file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  setInterval(() => {
    writeFileSync(`${file}.${process.pid}`, `${(delay.percentile(99) / 1e6).toFixed(1)}\n`, { flag: 'a' })
    delay.reset()
  }, 1_000).unref()
}
