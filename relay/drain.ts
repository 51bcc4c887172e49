import type { Effects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import type { Enforcement } from './enforcement/enforcement.ts'
import type { Sessions } from './gateway/sessions.ts'
import type { Streams } from './gateway/streams.ts'

/** How often a relay that shuts down looks whether it is done, in ms. */
const DRAIN_POLL_MS = 50

/** GOAWAY to everyone, at most `drainMs` for the streams, then the end. */
export async function endTraffic(
  {
    sessions,
    streams,
    enforcement,
  }: { readonly sessions: Sessions; readonly streams: Streams; readonly enforcement: Enforcement },
  effects: Effects,
  drainMs: number,
): Promise<void> {
  for (const live of sessions.list()) live.session.goAway('DRAINING', drainMs, 1_000)
  const until = effects.now() + drainMs
  const isBusy = () => sessions.list().some((live) => live.session.streamCount > 0)
  while (isBusy() && effects.now() < until) {
    await new Promise<void>((resolve) => {
      effects.after(DRAIN_POLL_MS, resolve)
    })
  }
  // First, while there are sessions that tell the agents.
  streams.close()
  for (const live of sessions.list()) live.close(new TunnelError('DRAINING'))
  sessions.stop()
  enforcement.stop()
}
