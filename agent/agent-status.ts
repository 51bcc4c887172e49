import type { ErrorCode, Leg, TunnelError } from '../shared/errors.ts'
import { formatRelayAddress } from '../shared/identity/relay-address.ts'
import type { ResumeSummary } from '../shared/tunnel/resume-tally.ts'
import type { TargetStatus } from './health/watch.ts'
import type { StandingSession } from './sessions.ts'

/** One session with a relay. */
export interface SessionStatus {
  readonly session: string
  readonly relay: string
  /** Milliseconds since 1970. */
  readonly since: number
  /** The TLS inspector on the way, by its certificate: it can read and change what passes. */
  readonly inspector?: string
  readonly links: number
  readonly streams: number
  /** Smallest round trip of late in ms; absent before the first measurement. */
  readonly rttMs?: number
  /** True where another is to take its place: its streams go on, no new one comes. */
  readonly leaving: boolean
}

/** What a running agent tells of itself: to its commands, its page and its service manager. There is no secret in it. */
export interface AgentStatus {
  readonly state: 'connected' | 'connecting'
  readonly connected: boolean
  readonly site: string
  readonly agentId: string
  readonly fingerprint: string
  /** Which signed release runs, in words. */
  readonly release?: string
  /** Of the oldest session that stays, as are `session` and `since`. */
  readonly relay?: string
  readonly session?: string
  /** Milliseconds since 1970. */
  readonly since?: number
  readonly sessions: readonly SessionStatus[]
  readonly certificateEnds: number
  readonly streams: number
  /** Of these, how many wait for a path. */
  readonly waiting: number
  readonly resumes: ResumeSummary
  readonly denied: number
  readonly rules: number
  /** How each target is that the rules name; detail names addresses, and stays on the site. */
  readonly targets: readonly TargetStatus[]
  readonly rulesError?: string
  /** How often a relay was dialled since the start. */
  readonly attempts: number
  /** Most silence in ms before the agent asks whether the relay lives. */
  readonly pingIntervalMs: number
  /** By how much in ms the relay's clock was ahead at the last greeting. */
  readonly clockSkewMs?: number
  /** Since when an administrator has it paused, in milliseconds since 1970. */
  readonly pausedSince?: number
  /** Since when no session stands, in milliseconds since 1970. */
  readonly downSince?: number
  readonly lastError?: {
    readonly code: ErrorCode
    readonly leg: Leg
    readonly message: string
    /** What `message` says beyond the code's own sentence; may be empty. */
    readonly detail: string
    readonly next: string
  }
}

/** A session as the status shows it. */
export function statusOfSession({ tunnel, since, isLeaving }: StandingSession): SessionStatus {
  const rttMs = tunnel.session.link.rttMs
  return {
    session: tunnel.relay.session,
    relay: formatRelayAddress(tunnel.address),
    since,
    ...(tunnel.inspector === undefined ? {} : { inspector: tunnel.inspector }),
    links: tunnel.session.linkCount,
    streams: tunnel.session.streamCount,
    ...(Number.isFinite(rttMs) ? { rttMs: Math.round(rttMs * 100) / 100 } : {}),
    leaving: isLeaving,
  }
}

/** A failure as the status shows it. */
export function failureOf({
  code,
  leg,
  message,
  detail,
  next,
}: TunnelError): AgentStatus['lastError'] & object {
  return { code, leg, message, detail, next }
}
