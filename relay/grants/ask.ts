import { formatDuration, parseDuration } from '../../shared/config/duration.ts'
import { TunnelError } from '../../shared/errors.ts'
import { askAll } from '../ask-all.ts'
import type { CommandContext } from '../ask-relay.ts'
import { call } from '../control-commands.ts'
import {
  approveGrantRequest,
  listGrantRequests,
  REQUEST_DURATION,
  refuseGrantRequest,
  requestGrant,
} from '../operations/grant-requests.ts'
import { addGrant, listGrants, removeGrant } from '../operations/grants.ts'

interface Context extends CommandContext {
  readonly tenant: string
  readonly env: string
}

interface GrantContext extends Context {
  readonly connector: string
  readonly resource: string
}

/** Longest time from now that a grant is given for, in ms: ten years. */
const UNTIL_MAX_MS = 3_650 * 86_400_000

/** `sallyport relay grant add`. */
export async function grantAdd(
  options: GrantContext & { until?: string; hours?: string; now: number },
): Promise<void> {
  const { connector, resource, until, hours, output } = options
  const expiresAt = until === undefined ? undefined : parseUntil(until, options.now)
  const terms = {
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(hours === undefined ? {} : { hours }),
  }
  const ended = await call(options, addGrant, { connector, resource, ...terms })
  output.result({ connector, resource, ...terms, ...ended }, [
    `${connector} may open ${resource}${termsText(expiresAt, hours)}`,
    ...(ended.streams === 0 ? [] : [`streams ended: ${ended.streams}`]),
  ])
}

/** `sallyport relay grant remove`. */
export async function grantRemove(options: GrantContext): Promise<void> {
  const { connector, resource, output } = options
  const ended = await call(options, removeGrant, { connector, resource })
  output.result(
    { connector, resource, ...ended },
    `${connector} may open ${resource} no more; streams ended: ${ended.streams}`,
  )
}

/** `sallyport relay grant list`. */
export async function grantList(options: Context & { connector: string }): Promise<void> {
  const { connector, output } = options
  const items = await askAll((page) => call(options, listGrants, { connector, ...page }))
  output.result(
    { connector, grants: items },
    items.length === 0
      ? `nothing is granted to ${connector}: sallyport relay grant add ${connector} SITE/RESOURCE`
      : items.map(
          ({ resource, expiresAt, hours, state }) => `${resource}  ${state}${termsText(expiresAt, hours)}`,
        ),
  )
}

/** `sallyport relay grant request`. */
export async function grantRequest(options: GrantContext & { reason: string; for: string }): Promise<void> {
  const { connector, resource, reason, output } = options
  const durationMs = parseDuration(options.for, REQUEST_DURATION)
  const answer = await call(options, requestGrant, { connector, resource, reason, durationMs })
  output.result({ connector, resource, ...answer }, [
    `request ${answer.request} waits for somebody else until ${timeOf(answer.expiresAt)}`,
    `next: sallyport relay grant approve ${answer.request}`,
  ])
}

/** `sallyport relay grant requests`. */
export async function grantRequests(options: Context): Promise<void> {
  const items = await askAll((page) => call(options, listGrantRequests, page))
  options.output.result(
    { requests: items },
    items.length === 0
      ? 'nobody has asked for access'
      : items.map(
          ({ request, state, connector, resource, durationMs, requester, decider, reason }) =>
            `${request}  ${state}  ${connector} ${resource} for ${formatDuration(durationMs)}, by ${requester}${decider === undefined ? '' : `, decided by ${decider}`}: ${reason}`,
        ),
  )
}

/** `sallyport relay grant approve`. */
export async function grantApprove(options: Context & { request: string }): Promise<void> {
  const { request, output } = options
  const { expiresAt } = await call(options, approveGrantRequest, { request })
  output.result({ request, expiresAt }, `approved; it ends by itself at ${timeOf(expiresAt)}`)
}

/** `sallyport relay grant refuse`. */
export async function grantRefuse(options: Context & { request: string }): Promise<void> {
  const { request, output } = options
  await call(options, refuseGrantRequest, { request })
  output.result({ request }, 'refused')
}

/** @returns ms since 1970 @throws {TunnelError} USAGE */
function parseUntil(text: string, now: number): number {
  if (/^[0-9]+[a-z]+$/.test(text)) return now + parseDuration(text, { min: 1_000, max: UNTIL_MAX_MS })
  const at = Date.parse(text)
  if (Number.isNaN(at)) throw new TunnelError('USAGE', 'A time is 2026-12-24, 2026-12-24T18:00:00Z, or 8h.')
  return at
}

function termsText(expiresAt: number | undefined, hours: string | undefined): string {
  const until = expiresAt === undefined ? '' : `, until ${timeOf(expiresAt)}`
  return hours === undefined ? until : `${until}, ${hours}`
}

function timeOf(at: number): string {
  return new Date(at).toISOString()
}
