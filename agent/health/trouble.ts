import type { Trouble } from '../../shared/cli/trouble.ts'
import { errorEntry, type Leg } from '../../shared/errors.ts'
import type { AgentStatus } from '../agent-status.ts'
import type { TargetStatus } from './watch.ts'

/** What of a status is needed to say what is broken. */
export interface Condition extends Pick<AgentStatus, 'connected' | 'site' | 'targets'> {
  readonly downSince?: number | undefined
  readonly lastError?: AgentStatus['lastError'] | undefined
}

/** What is broken as the agent sees it: its way to the relay, and its targets. */
export function agentTroubles({ connected, site, downSince, lastError, targets }: Condition): Trouble[] {
  const way: Trouble[] = connected
    ? []
    : [
        {
          state: 'failing',
          leg: legFromHere(lastError?.leg),
          what: `site ${site}`,
          code: lastError?.code,
          since: downSince,
          text: lastError?.detail,
          next: lastError?.next,
        },
      ]
  return [...way, ...targets.flatMap(targetTrouble)]
}

/** How many of the targets that are asked answer; nothing where none is asked. */
export function targetsLine(targets: readonly TargetStatus[]): string[] {
  const asked = targets.filter(({ state }) => state !== 'unasked')
  if (asked.length === 0) return []
  const well = asked.filter(({ state }) => state === 'ok' || state === 'warn').length
  const unknown = asked.filter(({ state }) => state === 'unknown').length
  return [`targets ${well} of ${asked.length} answer${unknown === 0 ? '' : `, ${unknown} not asked yet`}`]
}

function targetTrouble({ state, resource, code, detail, since }: TargetStatus): Trouble[] {
  // A pause is said once, and not by each target.
  if ((state !== 'failing' && state !== 'warn') || code === 'PAUSED') return []
  const leg = code === undefined ? 'agent-target' : errorEntry(code).leg
  return [{ state, leg, what: resource, code, since, text: detail }]
}

/** The catalogue speaks of the way to the relay as a connector goes it. */
function legFromHere(leg: Leg = 'relay-agent'): Leg {
  return leg === 'connector-relay' ? 'relay-agent' : leg
}
