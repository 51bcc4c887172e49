import type { LiveSession } from './sessions.ts'

/** What decides between the sessions of a site's agents. */
export type Candidate = Pick<LiveSession, 'principal'> & {
  readonly session: Pick<LiveSession['session'], 'streamCount' | 'queuedBytes' | 'wantsRoll'> & {
    readonly link: {
      recentBytes(now: number): number
      readonly rttMs: number
      readonly inFlight: Pick<LiveSession['session']['link']['inFlight'], 'waitingSince'>
    }
  }
}

/** Round trips below this many ms count as this many: what differs less is chance. */
const RTT_FLOOR_MS = 1

/** A round trip so many times as long as the shortest is no longer: what differs less is chance. */
const RTT_ALIKE = 1.2

/** Round trips from which on a second session costs little: a turn of the loop is short beside them. */
const FAR_RTT_MS = 4

/** So many bytes that wait, or that moved in the last second, make a session twice as busy as one without. */
const BULK_BYTES = 1_048_576

/** Bulk makes it at most so much busier: what it leaves standing in the path is a part of a round trip only. */
const MOST_BULK = 3

/** So many streams make it twice as busy: they have to share the 4,096 that a session takes. */
const MANY_STREAMS = 1_024

/** DATA without an ACK for so long in ms shows a path that is stuck or gone: any other is better. */
const STUCK_MS = 1_000
const STUCK_FACTOR = 1_000

/**
 * The session for a new stream: one of the agent that has the fewest streams, and of its sessions the one with the least to
 * do for its round trip. Those that will be replaced come last.
 *
 * Near by, small streams stay together on one session, because what the frames of a turn cost is the write of all of them,
 * and a second session makes it two. Far away, where an answer waits longer behind a transfer or a lost packet, they take
 * turns. Bulk transfers drive new streams to the other one.
 */
export function pickSession<One extends Candidate>(candidates: readonly One[], now: number): One | undefined {
  const staying = candidates.some(wantsRoll) ? candidates.filter((one) => !wantsRoll(one)) : candidates
  const sessions = leastBusyAgent(staying.length > 0 ? staying : candidates)
  const [first] = sessions
  if (first === undefined || sessions.length === 1) return first
  // What nobody has measured yet may be as good as the best.
  let known = Number.POSITIVE_INFINITY
  for (const one of sessions) known = Math.min(known, rttOf(one))
  const rtt = Number.isFinite(known) ? known : RTT_FLOOR_MS
  return leastOf(sessions, (one) => loadOf(one, rtt, now))
}

function wantsRoll({ session }: Candidate): boolean {
  return session.wantsRoll
}

/** All sessions of the agent that has the fewest streams over them. */
function leastBusyAgent<One extends Candidate>(candidates: readonly One[]): readonly One[] {
  // Most sites have one agent, and this is asked for each stream.
  const id = candidates[0]?.principal.id
  if (candidates.every(({ principal }) => principal.id === id)) return candidates
  const byAgent = Map.groupBy(candidates, ({ principal }) => principal.id)
  const streams = (sessions: readonly One[]) =>
    sessions.reduce((sum, { session }) => sum + session.streamCount, 0)
  return leastOf(byAgent.values(), streams) ?? []
}

function rttOf({ session }: Candidate): number {
  return Math.max(RTT_FLOOR_MS, session.link.rttMs)
}

function loadOf(one: Candidate, shortestRtt: number, now: number): number {
  const { streamCount, queuedBytes, link } = one.session
  const measured = rttOf(one)
  const rtt = measured > shortestRtt * RTT_ALIKE && Number.isFinite(measured) ? measured : shortestRtt
  const since = link.inFlight.waitingSince
  const stuck = since !== undefined && now - since > STUCK_MS ? STUCK_FACTOR : 1
  const bulk = Math.min(MOST_BULK, Math.floor((queuedBytes + link.recentBytes(now)) / BULK_BYTES))
  const streams = streamCount / MANY_STREAMS
  const work = 1 + bulk + (rtt < FAR_RTT_MS && bulk === 0 ? Math.floor(streams) : streams)
  return work * rtt * stuck
}

/** The first of those for which `measure` is least. */
function leastOf<One>(all: Iterable<One>, measure: (one: One) => number): One | undefined {
  let best: One | undefined
  let least = Number.POSITIVE_INFINITY
  for (const one of all) {
    const value = measure(one)
    if (best !== undefined && value >= least) continue
    best = one
    least = value
  }
  return best
}
