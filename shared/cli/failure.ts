import { type Actor, type ErrorCode, errorEntry, isTunnelError, type Leg, TunnelError } from '../errors.ts'
import { printable } from './printable.ts'

/** A failure as `--json` prints it, under the key `error`. The fields are a contract (docs/cli.md). */
export interface FailureReport {
  readonly code: ErrorCode
  readonly leg: Leg
  /** What happened: the catalogue's sentence and what is special here. */
  readonly message: string
  /** Why, where a lower layer said so. */
  readonly cause?: string
  readonly actor: Actor
  /** What to do or to type next; may be empty. */
  readonly next: string
  /** The same command may be run again unchanged. */
  readonly retryable: boolean
  /** The exit status that goes with it. */
  readonly exit: number
}

const LEGS: Record<Leg, string> = {
  'connector-relay': 'between the connector and the relay',
  proxy: 'the proxy on the way to the relay',
  relay: 'at the relay',
  'relay-agent': 'between the relay and the agent',
  agent: 'at the agent',
  'agent-target': 'between the agent and its target',
  local: 'on this machine',
}

const ACTORS: Record<Actor, string> = {
  nobody: 'nobody but you',
  'connector developer': 'the connector developer',
  'relay operator': 'the relay operator',
  'site administrator': 'the site administrator',
}

/** Where on the road it is, in words. */
export function legText(leg: Leg): string {
  return LEGS[leg]
}

/** What to tell of `error`. Whatever is no TunnelError is a fault of ours: INTERNAL, with its message as cause. */
export function describeFailure(error: unknown): FailureReport {
  const known = isTunnelError(error) ? error : new TunnelError('INTERNAL', '', { cause: error })
  const entry = errorEntry(known.code)
  const cause = causeOf(known)
  return {
    code: known.code,
    leg: known.leg,
    message: known.message,
    ...(cause === '' ? {} : { cause }),
    actor: entry.actor,
    next: known.next,
    retryable: entry.retryable,
    exit: entry.exit,
  }
}

/** The lines a person reads. Nothing in them can move the cursor or forge a line. */
export function failureLines(report: FailureReport): string[] {
  const lines = [`${report.code}: ${report.message}`]
  if (report.cause !== undefined) lines.push(`  cause  ${report.cause}`)
  lines.push(`  where  ${legText(report.leg)}`)
  const retry = report.retryable ? '; trying again may be enough' : ''
  lines.push(`  who    ${ACTORS[report.actor]}${retry}`)
  if (report.next !== '') lines.push(`  next   ${report.next}`)
  return lines.map(printable)
}

function causeOf(error: Error): string {
  const { cause } = error
  if (cause === undefined || cause === null) return ''
  const text = cause instanceof Error ? cause.message : String(cause)
  return error.message.includes(text) ? '' : text
}
