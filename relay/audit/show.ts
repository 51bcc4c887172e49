import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { Output } from '../../shared/cli/output.ts'
import { ERRORS, TunnelError } from '../../shared/errors.ts'
import { isAuditAction } from './actions.ts'
import { CSV_HEAD, parseTime, recordCsv, recordLine } from './format.ts'
import { AUDIT_ACTOR_KINDS } from './record.ts'
import { openSource, type SourceOptions } from './source.ts'
import { AUDIT_PAGE_MAX, type AuditFilter } from './store.ts'

export interface ChainFlags {
  readonly data: string
  readonly relay?: string
  readonly tenant: string
}

export interface AuditFlags extends ChainFlags {
  readonly from?: string
  readonly until?: string
  readonly env?: string
  readonly actor?: string
  readonly action?: string
  readonly object?: string
  readonly outcome?: string
  readonly trace?: string
}

interface Context extends SourceOptions {
  readonly output: Output
}

/** `sallyport audit list`. */
export async function list(
  options: AuditFlags & Context & { limit: string; before?: string },
): Promise<void> {
  const { tenant, output } = options
  const limit = wholeNumber(options.limit, '--limit', AUDIT_PAGE_MAX)
  const filter = filterOf(options)
  let behind = options.before === undefined ? undefined : wholeNumber(options.before, '--before')
  await using source = await openSource(options)
  let left = limit
  do {
    const page = await source.page(tenant, { filter, behind, order: 'newest', limit: left })
    for (const record of page.items) output.result(record, recordLine(record))
    left -= page.items.length
    behind = page.next
    options.signal.throwIfAborted()
  } while (left > 0 && behind !== undefined)
  if (behind !== undefined) output.note(`more: --before ${behind}`)
}

/** `sallyport audit follow`: until it is ended. */
export async function follow(options: AuditFlags & Context & { after?: string }): Promise<void> {
  const { tenant, output } = options
  const filter = filterOf(options)
  const after = options.after === undefined ? undefined : wholeNumber(options.after, '--after')
  await using source = await openSource(options)
  for await (const record of source.follow(tenant, filter, after)) output.result(record, recordLine(record))
}

/** `sallyport audit export`: waits for who reads it, and holds one page at a time. */
export async function exportRecords(
  options: AuditFlags & Context & { csv?: boolean; after?: string; stdout: Writable },
): Promise<void> {
  const { tenant, stdout, signal, csv = false } = options
  const filter = filterOf(options)
  let behind = options.after === undefined ? undefined : wholeNumber(options.after, '--after')
  await using source = await openSource(options)
  let head = csv ? `${CSV_HEAD}\r\n` : ''
  do {
    const page = await source.page(tenant, { filter, behind, order: 'oldest', limit: AUDIT_PAGE_MAX })
    const lines = page.items.map((record) =>
      csv ? `${recordCsv(record)}\r\n` : `${JSON.stringify(record)}\n`,
    )
    if (!stdout.write(head + lines.join(''))) await once(stdout, 'drain', { signal })
    head = ''
    behind = page.next
    signal.throwIfAborted()
  } while (behind !== undefined)
}

/** `sallyport audit checkpoint`. */
export async function checkpoint(options: ChainFlags & Context): Promise<void> {
  await using source = await openSource(options)
  const newest = await source.checkpoint(options.tenant)
  options.output.result(newest, JSON.stringify(newest))
}

/** @throws {TunnelError} CONFIG for a filter that can match nothing */
function filterOf(flags: AuditFlags): AuditFilter {
  const { action, outcome } = flags
  if (action !== undefined && !isAuditAction(action)) {
    throw new TunnelError('CONFIG', `There is no action ${action}: docs/audit.md has them all.`)
  }
  if (outcome !== undefined && !Object.hasOwn(ERRORS, outcome)) {
    throw new TunnelError('CONFIG', `There is no code ${outcome}: docs/errors.md has them all.`)
  }
  const [actorKind, ...actorId] = flags.actor?.split(':') ?? []
  if (actorKind !== undefined && !AUDIT_ACTOR_KINDS.some((kind) => kind === actorKind)) {
    throw new TunnelError('CONFIG', `An actor is one of ${AUDIT_ACTOR_KINDS.join(', ')}, not ${actorKind}.`)
  }
  return {
    from: flags.from === undefined ? undefined : parseTime(flags.from),
    until: flags.until === undefined ? undefined : parseTime(flags.until),
    environment: flags.env,
    actorKind,
    actorId: actorId.length === 0 ? undefined : actorId.join(':'),
    action,
    object: flags.object,
    outcome,
    traceId: flags.trace,
  }
}

/** @throws {TunnelError} CONFIG */
function wholeNumber(text: string, flag: string, max: number = Number.MAX_SAFE_INTEGER): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0
  if (value >= 1 && value <= max) return value
  throw new TunnelError('CONFIG', `${flag} is a whole number from 1 to ${max}.`)
}
