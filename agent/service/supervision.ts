import { printable } from '../../shared/cli/printable.ts'
import type { Effects } from '../../shared/effects.ts'
import type { NotifyRequest } from './notify.ts'

/** How long the service counts as starting while no session comes up, in ms: then it is ready, and goes on trying. */
export const READY_MS = 10_000
/** How often the agent is looked at, in ms: before it is ready, and after. */
const LOOK_MS = { starting: 250, ready: 5_000 } as const
/** How long an agent without a session may not even have tried to get one, in ms: twice the longest pause between two tries. */
export const STUCK_MS = 600_000
/** Longest text for the service manager, in characters. */
const MAX_STATUS = 200

/** What the service manager should know of the agent. */
export interface ServiceState {
  readonly isConnected: boolean
  /** How often a session was tried for; without one it has to grow. */
  readonly attempts: number
  /** One line for `systemctl status`. */
  readonly text: string
}

/** What was said, and when. */
interface Said {
  isReady: boolean
  text: string
  attempts: number
  /** Times of `Effects.now`. */
  readonly beganAt: number
  watchdogAt: number
  /** When it was connected or tried last. */
  movedAt: number
}

export interface SupervisionOptions extends NotifyRequest {
  readonly effects: Pick<Effects, 'now' | 'after'>
  readonly look: () => ServiceState
  readonly signal: AbortSignal
}

/**
 * Tells the service manager how the agent fares until `signal` aborts: READY at the first session, or after ten seconds in
 * which the agent was safely trying; the status when it changes; WATCHDOG from the event loop, and only while the agent is
 * alive; STOPPING when it drains.
 */
export function superviseService(options: SupervisionOptions): void {
  const { effects, look, notify, signal } = options
  const now = effects.now()
  const said: Said = { isReady: false, text: '', attempts: 0, beganAt: now, watchdogAt: now, movedAt: now }
  let cancel = () => {}
  const tick = () => {
    const message = nextMessage(said, look(), { now: effects.now(), watchdogMs: options.watchdogMs })
    if (message.length > 0) void notify(message)
    cancel = effects.after(said.isReady ? LOOK_MS.ready : LOOK_MS.starting, tick)
  }
  const stop = () => {
    cancel()
    void notify(['STOPPING=1', 'STATUS=ending its streams'])
  }
  if (signal.aborted) return
  tick()
  signal.addEventListener('abort', stop, { once: true })
}

/** What there is to say now; `said` is changed as if it had been. */
function nextMessage(
  said: Said,
  state: ServiceState,
  { now, watchdogMs = Number.POSITIVE_INFINITY }: { now: number; watchdogMs: number | undefined },
): string[] {
  const message: string[] = []
  if (state.isConnected || state.attempts !== said.attempts) said.movedAt = now
  said.attempts = state.attempts
  if (!said.isReady && (state.isConnected || now - said.beganAt >= READY_MS)) {
    said.isReady = true
    message.push('READY=1')
  }
  // A third of the time: two messages may be late before the manager acts.
  const isAlive = now - said.movedAt < STUCK_MS
  if (isAlive && now - said.watchdogAt >= watchdogMs / 3) {
    said.watchdogAt = now
    message.push('WATCHDOG=1')
  }
  const text = printable(state.text).slice(0, MAX_STATUS)
  if (text !== said.text) {
    said.text = text
    message.push(`STATUS=${text}`)
  }
  return message
}
