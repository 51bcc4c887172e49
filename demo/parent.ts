import { TunnelError } from '../shared/errors.ts'

/** How often the parent is looked for, in ms. */
const LOOK_MS = 250

/**
 * Aborts when the process that started this one has gone. npm runs its scripts in a shell, and a shell that gets a signal
 * may end at once without passing it on: whoever ends `npm start` would leave us behind.
 */
export function parentGone(): AbortSignal {
  const controller = new AbortController()
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    controller.abort(
      new TunnelError('CANCELLED', 'The process that started this one has ended.', { leg: 'local' }),
    )
  }, LOOK_MS)
  timer.unref()
  return controller.signal
}
