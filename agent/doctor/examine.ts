import { errorEntry, isTunnelError, TunnelError } from '../../shared/errors.ts'
import { formatRelayAddress } from '../../shared/identity/relay-address.ts'
import { relayConnectError } from '../../shared/identity/relay-tls.ts'
import { checkAgent } from './check-agent.ts'
import { checkClock } from './check-clock.ts'
import { checkDns } from './check-dns.ts'
import { checkIdle } from './check-idle.ts'
import { checkProxy } from './check-proxy.ts'
import { checkTargets } from './check-targets.ts'
import { checkTcp } from './check-tcp.ts'
import { checkTls } from './check-tls.ts'
import { checkUpgrade } from './check-upgrade.ts'
import type { Check, Examination, PathContext, Seen, SiteContext } from './context.ts'
import { type Finding, fail, skipped } from './finding.ts'

/** One line of the result. */
export interface Line extends Finding {
  readonly check: string
  /** What it is about: the address of a relay, or a resource. */
  readonly subject?: string
}

const isUnreached = ({ seen }: PathContext) =>
  seen.isReached === true ? undefined : 'no connection to the port of the relay stands'
const isSilent = ({ seen }: PathContext) =>
  seen.chain === undefined
    ? 'no TLS stands that could be trusted for a question'
    : isUnreached({ seen } as PathContext)

/** The checks of the path to one address, in the order in which they build on one another. */
const PATH_CHECKS: readonly Check<PathContext>[] = [
  { name: 'proxy', label: 'looking for the way out', deadlineMs: 30_000, look: checkProxy },
  { name: 'dns', label: 'resolving the name of the relay', deadlineMs: 10_000, look: checkDns },
  {
    name: 'tcp',
    label: 'connecting to each address',
    deadlineMs: 10_000,
    skip: ({ seen }) => {
      if (seen.proxy !== undefined) return `the way goes through ${seen.proxy}`
      return (seen.numbers ?? []).length === 0 ? 'the name has no address' : undefined
    },
    look: checkTcp,
  },
  { name: 'tls', label: 'looking who answers', deadlineMs: 20_000, skip: isUnreached, look: checkTls },
  { name: 'clock', label: 'comparing clocks', deadlineMs: 15_000, skip: isSilent, look: checkClock },
  {
    name: 'upgrade',
    label: 'asking for a WebSocket',
    deadlineMs: 20_000,
    skip: isSilent,
    look: checkUpgrade,
  },
  {
    name: 'idle',
    label: 'holding silent connections',
    skip: (context) => {
      const { seen, client } = context
      if (client !== undefined && seen.isRelay === true && seen.isUpgraded !== true)
        return 'there is no WebSocket'
      return isSilent(context)
    },
    look: checkIdle,
  },
]

export interface ExamineOptions {
  /** Ends it; its reason is thrown. */
  readonly signal: AbortSignal
  /** Told of each line as soon as it is there. */
  readonly onLine: (line: Line) => void
  /** Shows what is being waited for. */
  readonly progress: <T>(label: string, work: Promise<T>) => Promise<T>
}

/** Runs every check, and gives all lines. A check that fails makes those that build on it skipped, never the rest. */
export async function examine(examination: Examination, options: ExamineOptions): Promise<readonly Line[]> {
  const { signal, onLine, progress } = options
  const lines: Line[] = []
  const add = (check: string, subject: string | undefined, findings: readonly Finding[]) => {
    for (const finding of findings) {
      const line = { check, ...(subject === undefined ? {} : { subject }), ...finding }
      lines.push(line)
      onLine(line)
    }
  }
  const numbers: string[] = []
  for (const address of examination.addresses) {
    const seen: Seen = {}
    for (const check of PATH_CHECKS) {
      const where = formatRelayAddress(address)
      const work = runCheck(check, (limit) => ({ ...examination, address, seen, signal: limit }), signal)
      add(check.name, where, await progress(`${where}: ${check.label}`, work))
    }
    numbers.push(...(seen.numbers ?? []))
  }
  const site: SiteContext = { ...examination, signal }
  add('agent', undefined, await progress('asking the agent', checkAgent(site)))
  const { rulesFault } = examination
  if (rulesFault !== undefined)
    add('rules', undefined, [fail(rulesFault.code, rulesFault.message, rulesFault.next)])
  for (const { resource, ...finding } of await progress('trying the targets', checkTargets(site, numbers))) {
    add('target', resource, [finding])
  }
  return lines
}

async function runCheck(
  check: Check<PathContext>,
  contextFor: (signal: AbortSignal) => PathContext,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  signal.throwIfAborted()
  const { deadlineMs } = check
  const limit = deadlineMs === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)])
  const context = contextFor(limit)
  const because = check.skip?.(context)
  if (because !== undefined) return [skipped(because)]
  try {
    return await check.look(context)
  } catch (err) {
    signal.throwIfAborted()
    const failure = failureOf(limit.aborted ? limit.reason : err, context)
    return [fail(failure.code, failure.message, failure.next)]
  }
}

/** What a check could not deal with itself. A fault of ours stays one. */
function failureOf(err: unknown, { address }: PathContext): TunnelError {
  if (isTunnelError(err)) return err
  const { code, name } = err as { code?: unknown; name?: unknown }
  if (typeof code !== 'string' && name !== 'TimeoutError') throw err
  return relayConnectError(err, address)
}

/** The failure that the whole command ends with; undefined where nothing failed. */
export function verdictOf(lines: readonly Line[]): TunnelError | undefined {
  const failed = lines.filter(({ verdict }) => verdict === 'FAIL')
  const [first] = failed
  if (first?.code === undefined) return undefined
  const subject = first.subject === undefined ? '' : ` of ${first.subject}`
  const detail = `${failed.length} of ${lines.length} checks failed, the first: ${first.check}${subject}.`
  const { leg } = errorEntry(first.code)
  return new TunnelError(first.code, detail, {
    leg: leg === 'connector-relay' ? 'relay-agent' : leg,
    next: first.remedy ?? '',
  })
}
