import type { Effects } from '../shared/effects.ts'
import type { Logger } from '../shared/log.ts'
import type { ClientTunnel } from '../shared/tunnel/client-tunnel.ts'
import { createPingPace, PING_INTERVAL_MS, type SessionCut, sessionCut } from '../shared/tunnel/liveness.ts'

/** Clocks that differ by more in ms are told of: certificates begin five minutes before they are made. */
export const CLOCK_SKEW_MAX_MS = 5 * 60_000

export interface PathWatchOptions {
  readonly effects: Pick<Effects, 'now' | 'date'>
  readonly log: Pick<Logger, 'warn'>
  /** Of settings.json, in ms; absent: the relay decides. */
  readonly pingIntervalMs?: number
}

/** What the agent learns from its tunnels about the path to the relay, for the tunnels to come. */
export interface PathWatch {
  /** Most silence in ms before the next tunnel asks whether the relay lives. */
  readonly pingIntervalMs: number
  /** By how much in ms the relay's clock was ahead of this machine's at the last greeting; undefined before it. */
  readonly clockSkewMs: number | undefined
  /** To be called when a tunnel has greeted. */
  watch(tunnel: ClientTunnel): void
}

export function createPathWatch({ effects, log, pingIntervalMs }: PathWatchOptions): PathWatch {
  const pace = createPingPace(pingIntervalMs ?? PING_INTERVAL_MS)
  let clockSkewMs: number | undefined
  const onCut = (cut: SessionCut) => {
    if (sessionCut(pace, cut)) {
      const [idleSeconds, pingSeconds] = [cut.idleMs, pace.intervalMs].map((ms) => Math.round(ms / 1000))
      log.warn({ idleSeconds, pingSeconds }, 'the path cuts idle connections, so the agent asks more often')
    }
  }
  return {
    get pingIntervalMs() {
      return pace.intervalMs
    },
    get clockSkewMs() {
      return clockSkewMs
    },
    watch(tunnel) {
      clockSkewMs = tunnel.relay.clock - effects.date()
      if (Math.abs(clockSkewMs) > CLOCK_SKEW_MAX_MS) {
        const [clock, relayClock] = [effects.date(), tunnel.relay.clock].map((ms) =>
          new Date(ms).toISOString(),
        )
        log.warn({ clock, relayClock }, 'the clocks of this machine and of the relay differ')
      }
      const began = effects.now()
      let isAnnounced = false
      void tunnel.goingAway.then(() => {
        isAnnounced = true
      })
      void tunnel.closed.then(({ code }) => {
        // What the relay or this agent wanted says nothing of the path.
        if (code !== 'SESSION_LOST' || isAnnounced) return
        const ended = effects.now()
        onCut({ began, ended, idleMs: tunnel.session.link.idleMs(ended) })
      })
    },
  }
}
