import * as v from 'valibot'
import { callControl } from '../../shared/control/call.ts'
import { controlPath } from '../../shared/control/path.ts'
import { isTunnelError } from '../../shared/errors.ts'
import { CLOCK_SKEW_MAX_MS } from '../path-watch.ts'
import type { SiteContext } from './context.ts'
import { type Finding, fail, ok, skipped, warn } from './finding.ts'

const statusSchema = v.looseObject({
  connected: v.boolean(),
  relay: v.optional(v.string()),
  pingIntervalMs: v.optional(v.number()),
  clockSkewMs: v.optional(v.number()),
  lastError: v.optional(v.looseObject({ message: v.string(), next: v.string() })),
})

export type RunningStatus = v.InferOutput<typeof statusSchema>

/** Asks the running agent how it is. */
export async function checkAgent({ directory, signal }: SiteContext): Promise<readonly Finding[]> {
  if (directory === undefined) return [skipped('this agent has not joined')]
  try {
    return readAgent(
      v.parse(statusSchema, await callControl(controlPath(directory), 'status', {}, { signal })),
    )
  } catch (err) {
    if (!isTunnelError(err)) throw err
    if (err.code === 'NOT_RUNNING') return [skipped('no agent runs on this data directory now')]
    return [fail(err.code, err.message, err.next)]
  }
}

/** What it says of itself. */
export function readAgent({
  connected,
  relay,
  pingIntervalMs = 0,
  clockSkewMs = 0,
  lastError,
}: RunningStatus): readonly Finding[] {
  const evidence = { connected, relay, pingIntervalMs, clockSkewMs }
  if (!connected) {
    const why = lastError === undefined ? '' : `: ${lastError.message}`
    return [
      warn(
        'RELAY_UNREACHABLE',
        `the agent runs and is not connected${why}`,
        lastError?.next ?? 'sallyport agent status',
        evidence,
      ),
    ]
  }
  const skew =
    Math.abs(clockSkewMs) > CLOCK_SKEW_MAX_MS
      ? `, the relay's clock was ${Math.round(clockSkewMs / 1_000)} s ahead`
      : ''
  return [
    ok(
      `the agent runs and is connected to ${relay}, it breaks a silence every ${pingIntervalMs / 1_000} s${skew}`,
      evidence,
    ),
  ]
}
