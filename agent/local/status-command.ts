import * as v from 'valibot'
import type { Output } from '../../shared/cli/output.ts'
import { resumeLines, resumeSummary } from '../../shared/cli/resumes.ts'
import { troubleLines } from '../../shared/cli/trouble.ts'
import { callControl } from '../../shared/control/call.ts'
import { controlPath } from '../../shared/control/path.ts'
import { ERRORS, type ErrorCode, type Leg, TunnelError } from '../../shared/errors.ts'
import { HEALTH_STATES } from '../../shared/handshake/health.ts'
import { PROBE_KINDS } from '../../shared/policy/rule.ts'
import { agentTroubles, targetsLine } from '../health/trouble.ts'

const code = v.picklist(Object.keys(ERRORS) as ErrorCode[])

const shown = {
  connected: v.boolean(),
  site: v.string(),
  relay: v.optional(v.string()),
  since: v.optional(v.number()),
  fingerprint: v.string(),
  release: v.optional(v.string()),
  certificateEnds: v.number(),
  streams: v.number(),
  waiting: v.number(),
  resumes: resumeSummary,
  sessions: v.pipe(
    v.array(
      v.object({
        relay: v.string(),
        since: v.number(),
        links: v.number(),
        streams: v.number(),
        rttMs: v.optional(v.number()),
        leaving: v.boolean(),
        inspector: v.optional(v.string()),
      }),
    ),
    v.readonly(),
  ),
  denied: v.number(),
  rules: v.number(),
  pausedSince: v.optional(v.number()),
  rulesError: v.optional(v.string()),
  downSince: v.optional(v.number()),
  lastError: v.optional(
    v.object({
      code,
      leg: v.custom<Leg>((leg) => typeof leg === 'string'),
      message: v.string(),
      detail: v.string(),
      next: v.string(),
    }),
  ),
  targets: v.pipe(
    v.array(
      v.object({
        resource: v.string(),
        probe: v.picklist(PROBE_KINDS),
        state: v.picklist(HEALTH_STATES.filter((state) => state !== 'gone')),
        code: v.optional(code),
        detail: v.string(),
        since: v.number(),
        askedAt: v.optional(v.number()),
      }),
    ),
    v.readonly(),
  ),
}

const statusAnswer = v.looseObject(shown)

/** What a running agent answers to `status`, as far as people are told. */
export type StatusAnswer = v.InferOutput<v.ObjectSchema<typeof shown, undefined>>

/** Asks the agent of a data directory how it is. @throws {TunnelError} NOT_RUNNING, PERMISSIONS, PROTOCOL */
async function askStatus(data: string, signal: AbortSignal): Promise<StatusAnswer> {
  const parsed = v.safeParse(statusAnswer, await callControl(controlPath(data), 'status', {}, { signal }))
  if (!parsed.success)
    throw new TunnelError('PROTOCOL', 'The agent answered in a form that this command does not know.')
  return parsed.output
}

/** `sallyport agent status`. */
export async function status(options: { data: string; signal: AbortSignal; output: Output }): Promise<void> {
  const now = await askStatus(options.data, options.signal)
  options.output.result(now, statusLines(now))
}

/** The status for people, a fact a line. */
export function statusLines(now: StatusAnswer): string[] {
  const lines = [
    now.connected
      ? `site ${now.site}: connected to ${now.relay} since ${isoTime(now.since ?? 0)}`
      : `site ${now.site}: NOT CONNECTED`,
    ...heldLines(now),
    ...inspectorLine(now),
    ...now.sessions.map(sessionLine),
    ...troubleLines(agentTroubles(now)),
    `rules ${now.rules}, streams ${now.streams}${waiting(now.waiting)}, denied ${now.denied}`,
    ...resumeLines(now.resumes),
    ...targetsLine(now.targets),
    `key ${now.fingerprint}, certificate until ${isoTime(now.certificateEnds)}`,
  ]
  if (now.release !== undefined) lines.push(now.release)
  // Without a connection it stands above, as what is broken.
  if (now.connected && now.lastError !== undefined) {
    lines.push(`last failure ${now.lastError.code}: ${now.lastError.message}`, `next   ${now.lastError.next}`)
  }
  return lines
}

/** What an administrator did, and may have forgotten. */
function heldLines({ pausedSince, rulesError, rules }: StatusAnswer): string[] {
  const lines: string[] = []
  if (pausedSince !== undefined)
    lines.push(`PAUSED since ${isoTime(pausedSince)}, every stream is refused: sallyport agent resume`)
  if (rulesError !== undefined) lines.push(`RULES NOT READ, ${heldRules(rules)}: ${rulesError}`)
  return lines
}

function heldRules(rules: number): string {
  return rules === 0 ? 'so nothing can be reached' : `the last good ones hold (${rules})`
}

function inspectorLine({ sessions }: StatusAnswer): string[] {
  const names = new Set(sessions.flatMap(({ inspector }) => inspector ?? []))
  return [...names].map(
    (name) => `TLS INSPECTOR on the way, which can read and change all that passes: ${name}`,
  )
}

function sessionLine({
  relay,
  since,
  links,
  streams,
  rttMs,
  leaving,
}: StatusAnswer['sessions'][number]): string {
  const facts = [
    `session by ${relay} since ${isoTime(since)}`,
    ...(links === 1 ? [] : [`links ${links}`]),
    `streams ${streams}`,
    ...(rttMs === undefined ? [] : [`round trip ${rttMs} ms`]),
    ...(leaving ? ['being replaced'] : []),
  ]
  return facts.join(', ')
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

function waiting(count: number): string {
  return count === 0 ? '' : ` (${count} without a path, waiting for their openers)`
}
