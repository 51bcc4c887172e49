import type { ErrorCode } from '../../shared/errors.ts'
import {
  type AgentCondition,
  type HealthNotice,
  type HealthState,
  MAX_REPORTED_TARGETS,
} from '../../shared/handshake/health.ts'

/** What the relay was told of one target. */
export interface TargetHealth {
  readonly state: Exclude<HealthState, 'gone'>
  /** With `failing`: why. */
  readonly code?: ErrorCode
  /** Milliseconds since 1970, by the relay's clock. */
  readonly since: number
  readonly text?: string
}

/** What an agent told of itself. */
export interface StandingCondition extends Pick<AgentCondition, 'state' | 'code'> {
  /** Milliseconds since 1970, by the relay's clock. */
  readonly since: number
}

/**
 * What one session of an agent told of its targets, by resource, at most 1,000 of them. It is the agent's word about its
 * own site: the names are looked up under the site that its certificate names, and under no other.
 */
export interface SessionHealth {
  readonly targets: Map<string, TargetHealth>
  /** What holds for the whole agent, such as a pause. */
  conditions: readonly StandingCondition[]
  /** False: an agent that reports nothing, or has not yet. */
  hasReported: boolean
}

export function createHealth(): SessionHealth {
  return { targets: new Map(), conditions: [], hasReported: false }
}

/**
 * Takes what a notice of an agent says; of targets, what is beyond the limit is dropped.
 * @param date wall clock, ms since 1970
 * @returns the names of targets that began to fail or ceased to
 */
export function takeReports(
  health: SessionHealth,
  { reports, conditions }: HealthNotice,
  date: number,
): readonly string[] {
  const { targets } = health
  const turned: string[] = []
  if (conditions !== undefined)
    health.conditions = conditions.map(({ ageMs, ...rest }) => ({
      ...rest,
      since: Math.max(0, date - ageMs),
    }))
  if (reports.length > 0) health.hasReported = true
  for (const { resource, state, code, ageMs, text } of reports) {
    const before = targets.get(resource)
    if ((before?.state === 'failing') !== (state === 'failing')) turned.push(resource)
    if (state === 'gone') {
      targets.delete(resource)
      continue
    }
    if (before === undefined && targets.size >= MAX_REPORTED_TARGETS) continue
    targets.set(resource, {
      state,
      ...(code === undefined ? {} : { code }),
      since: Math.max(0, date - ageMs),
      ...(text === undefined ? {} : { text }),
    })
  }
  return turned
}

/**
 * How little a stream to `resource` is expected of the agent: 0 where its target is well, 1 where nothing is known,
 * 2 where it fails, 3 where the agent has no such rule. A stream goes to the least, and is tried whatever that is.
 */
export function doubtOf(health: SessionHealth, resource: string): 0 | 1 | 2 | 3 {
  const target = health.targets.get(resource)
  // An agent with more rules than it reports may have this one too.
  const isComplete = health.hasReported && health.targets.size < MAX_REPORTED_TARGETS
  if (target === undefined) return isComplete ? 3 : 1
  switch (target.state) {
    case 'ok':
    case 'warn':
    case 'unasked':
      return 0
    case 'unknown':
      return 1
    case 'failing':
      return 2
  }
}

/**
 * Those of the sessions that are doubted least for a stream to `resource`. Where the target of each fails it is one of them
 * by chance, so that whichever is well again is found.
 */
export function leastDoubted<One extends { readonly health: SessionHealth }>(
  sessions: readonly One[],
  resource: string,
  random: () => number,
): readonly One[] {
  let least = Number.POSITIVE_INFINITY
  let count = 0
  for (const { health } of sessions) {
    const doubt = doubtOf(health, resource)
    if (doubt < least) count = 0
    least = Math.min(least, doubt)
    if (doubt === least) count++
  }
  const areAlike = count === sessions.length
  const best = areAlike ? sessions : sessions.filter(({ health }) => doubtOf(health, resource) === least)
  const chosen = Math.floor(random() * best.length)
  return least === 2 ? best.slice(chosen, chosen + 1) : best
}
