import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import * as v from 'valibot'
import type { Output } from '../../shared/cli/output.ts'
import { ERRORS, TunnelError } from '../../shared/errors.ts'
import { isAuditAction } from './actions.ts'
import { checkpointOf, checkpointSchema, newestCheckpoint } from './checkpoint.ts'
import { CSV_HEAD, checkpointJson, parseTime, recordCsv, recordJson, recordLine } from './format.ts'
import { openAuditReader } from './reader.ts'
import { RELAY_CHAIN } from './record.ts'
import { AUDIT_PAGE_MAX, type AuditCheckpoint, type AuditFilter } from './store.ts'
import { verifyChain } from './verify.ts'

export interface ChainFlags {
  readonly data: string
  readonly tenant: string
  readonly relay?: boolean
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

export interface VerifyFlags {
  readonly data: string
  readonly tenant?: string
  readonly relay?: boolean
  readonly checkpoint?: string
}

interface Context {
  readonly signal: AbortSignal
  readonly output: Output
}

/** Largest file with a checkpoint, in bytes. */
const CHECKPOINT_MAX_BYTES = 65_536

/**
 * `sallyport audit verify`.
 * @throws {TunnelError} AUDIT where a chain does not hold
 */
export async function verify(options: VerifyFlags & Context): Promise<void> {
  const { output, signal } = options
  await using reader = await openAuditReader(options.data)
  const witnessed = options.checkpoint === undefined ? [] : [await readCheckpoint(options.checkpoint)]
  const known = await reader.chains()
  const wanted = options.relay === true ? RELAY_CHAIN : options.tenant
  // A chain that a checkpoint speaks of was there once.
  const all = new Set([...known, ...witnessed.map(({ tenantId }) => tenantId)])
  const chains = wanted === undefined ? [...all] : [checkChain(wanted, all)]
  const faults: string[] = []
  for (const tenantId of chains) {
    signal.throwIfAborted()
    const { store, certificate } = reader
    const { records, vouchedTo, fault } = await verifyChain({ store, tenantId, certificate, witnessed })
    const verdict = fault === undefined ? 'holds' : `DOES NOT HOLD: ${fault.text}`
    output.result(
      { tenant: tenantId, records, vouchedTo, holds: fault === undefined, ...(fault && { fault }) },
      `${tenantId}  ${records} records, the first ${vouchedTo} signed: ${verdict}`,
    )
    if (fault !== undefined) faults.push(`${tenantId}: ${fault.text}.`)
  }
  if (faults.length > 0) throw new TunnelError('AUDIT', faults.join(' '))
}

/** `sallyport audit list`. */
export async function list(
  options: AuditFlags & Context & { limit: string; before?: string },
): Promise<void> {
  const { output } = options
  const limit = wholeNumber(options.limit, '--limit', AUDIT_PAGE_MAX)
  const filter = filterOf(options)
  await using reader = await openAuditReader(options.data)
  const chain = chainOf(options, await reader.chains())
  let cursor = options.before === undefined ? undefined : wholeNumber(options.before, '--before')
  let left = limit
  do {
    const page = await reader.store.readAudit(chain, { filter, cursor, order: 'newest', limit: left })
    for (const record of page.records) output.result(recordJson(record), recordLine(record))
    left -= page.records.length
    cursor = page.next
    options.signal.throwIfAborted()
  } while (left > 0 && cursor !== undefined)
  if (cursor !== undefined) output.note(`more: --before ${cursor}`)
}

/** `sallyport audit export`: waits for who reads it, and holds one page at a time. */
export async function exportRecords(
  options: AuditFlags & Context & { csv?: boolean; after?: string; stdout: Writable },
): Promise<void> {
  const { stdout, signal, csv = false } = options
  const filter = filterOf(options)
  await using reader = await openAuditReader(options.data)
  const chain = chainOf(options, await reader.chains())
  if (csv) stdout.write(`${CSV_HEAD}\r\n`)
  let cursor = options.after === undefined ? undefined : wholeNumber(options.after, '--after')
  do {
    const page = await reader.store.readAudit(chain, {
      filter,
      cursor,
      order: 'oldest',
      limit: AUDIT_PAGE_MAX,
    })
    const lines = page.records.map((record) =>
      csv ? `${recordCsv(record)}\r\n` : `${JSON.stringify(recordJson(record))}\n`,
    )
    if (!stdout.write(lines.join(''))) await once(stdout, 'drain', { signal })
    cursor = page.next
    signal.throwIfAborted()
  } while (cursor !== undefined)
}

/** `sallyport audit checkpoint`. */
export async function checkpoint(options: ChainFlags & Context): Promise<void> {
  await using reader = await openAuditReader(options.data)
  const chain = chainOf(options, await reader.chains())
  const newest = await newestCheckpoint(reader.store, chain)
  const json = checkpointJson(newest)
  options.output.result(json, JSON.stringify(json))
}

function chainOf(flags: ChainFlags, known: readonly string[]): string {
  return checkChain(flags.relay === true ? RELAY_CHAIN : flags.tenant, new Set(known))
}

/** @throws {TunnelError} NOT_FOUND */
function checkChain(chain: string, known: ReadonlySet<string>): string {
  if (known.has(chain)) return chain
  throw new TunnelError('NOT_FOUND', `There is no tenant ${chain}.`, { next: 'sallyport relay tenant list' })
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

/** @throws {TunnelError} CONFIG where the file is none that `audit checkpoint` printed */
async function readCheckpoint(path: string): Promise<AuditCheckpoint> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw new TunnelError('CONFIG', `${path} cannot be read.`, { cause })
  })
  if (size <= CHECKPOINT_MAX_BYTES) {
    const parsed = v.safeParse(
      v.pipe(v.string(), v.parseJson(), checkpointSchema),
      await readFile(path, 'utf8'),
    )
    if (parsed.success) return checkpointOf(parsed.output)
  }
  throw new TunnelError('CONFIG', `${path} is not what "sallyport audit checkpoint" prints.`)
}
