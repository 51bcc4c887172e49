import type { Effects } from '../effects.ts'

/** Silence after which a peer is asked whether it lives, in ms; below every common idle cut-off of 30 s and more. */
export const PING_INTERVAL_MS = 20_000

/** Shortest interval between questions that a cut path can bring about, in ms. */
export const PING_INTERVAL_MIN_MS = 2_000

/** Part of the interval by which it varies either way, so that thousands of tunnels do not ask at the same moment. */
const JITTER = 0.2

/** A session that ended after less silence in ms was not idle. */
const IDLE_MIN_MS = 2_000

/** Ends of idle sessions within so much time in ms belong together: an idle cut-off strikes again at once. */
const SERIES_MS = 600_000

/**
 * So many times as much silence as at the cut before still counts as the same cut-off: our interval varies, and a question of
 * the relay's own, which still came in, may have been the last that was heard.
 */
const ALIKE_RATIO = 2.5

/** `intervalMs` give or take a fifth. */
export function jitteredInterval(intervalMs: number, effects: Pick<Effects, 'random'>): number {
  return intervalMs * (1 - JITTER + 2 * JITTER * effects.random())
}

/**
 * The longest interval whose questions keep a path open that has been seen to bear `heldMs` of silence, in ms: with its
 * jitter it uses three quarters of that. At least PING_INTERVAL_MIN_MS.
 */
export function intervalUnder(heldMs: number): number {
  return Math.max(PING_INTERVAL_MIN_MS, Math.floor((heldMs * 0.75) / (1 + JITTER)))
}

/** How often one tunnel after the other asks, and what the path has taught so far. */
export interface PingPace {
  /** Most silence in ms before the next tunnel asks; the relay may want less. */
  intervalMs: number
  /** The last end of an idle session: after how much silence, and when (monotonic ms). */
  lastCut: { readonly idleMs: number; readonly at: number } | undefined
}

export function createPingPace(intervalMs: number): PingPace {
  return { intervalMs, lastCut: undefined }
}

/** The end of a session of which nobody had said a word before. Times are monotonic ms. */
export interface SessionCut {
  readonly began: number
  readonly ended: number
  /** How long nothing had moved by then (Link.idleMs). */
  readonly idleMs: number
}

/**
 * Notes a cut. Two one after the other within ten minutes, after about the same silence, are an idle cut-off on the path: from
 * then on the question comes in half that time. Sessions that stood side by side and ended together are one cut.
 *
 * @returns true where the interval became shorter
 */
export function sessionCut(pace: PingPace, { began, ended, idleMs }: SessionCut): boolean {
  const before = pace.lastCut
  if (before !== undefined && began < before.at) return false
  pace.lastCut = idleMs < IDLE_MIN_MS ? undefined : { idleMs, at: ended }
  if (before === undefined || pace.lastCut === undefined || ended - before.at > SERIES_MS) return false
  const [less, more] = [Math.min(before.idleMs, idleMs), Math.max(before.idleMs, idleMs)]
  if (more > less * ALIKE_RATIO) return false
  pace.lastCut = undefined
  const next = Math.max(PING_INTERVAL_MIN_MS, Math.min(pace.intervalMs, more) / 2)
  if (next >= pace.intervalMs) return false
  pace.intervalMs = next
  return true
}
