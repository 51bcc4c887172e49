import { TunnelError } from '../../shared/errors.ts'
import type { AuditRecord } from './record.ts'
import type { AuditCheckpoint } from './store.ts'

/** A record as programs read it: what `--json` prints and files hold. */
export function recordJson(record: AuditRecord) {
  const { tenantId, seq, time, environment, actor, source, action, object, outcome } = record
  return {
    ...{ tenant: tenantId, seq, time: new Date(time).toISOString(), environment },
    actor: { ...actor },
    ...{ source, action, object, outcome, trace: record.traceId, detail: record.detail },
    hash: Buffer.from(record.hash).toString('hex'),
  }
}

/** What {@link recordJson} gives, or another relay, which may know more kinds of actors. */
export type RecordJson = Omit<ReturnType<typeof recordJson>, 'actor'> & {
  readonly actor: { readonly kind: string; readonly id: string }
}

/** A record in one line for people. */
export function recordLine(record: RecordJson): string {
  const { seq, time, actor, source, action, object, outcome, detail, environment } = record
  const who = actor.id === '' ? actor.kind : `${actor.kind}:${actor.id}`
  const where = environment === '' ? [] : [environment]
  return [
    ...[`${seq}`, time, outcome.padEnd(8), action.padEnd(16), object],
    ...['by', who, 'from', source, ...where, detail],
  ]
    .filter((word) => word !== '')
    .join('  ')
}

const COLUMNS = [
  ...['tenant', 'seq', 'time', 'environment', 'actor_kind', 'actor_id', 'source'],
  ...['action', 'object', 'outcome', 'trace', 'detail', 'hash'],
]

/** The first line of a CSV file. */
export const CSV_HEAD = COLUMNS.join(',')

/** A record as one line of CSV (RFC 4180). */
export function recordCsv({ actor, ...json }: RecordJson): string {
  const { tenant, seq, time, environment, source, action, object, outcome, trace, detail, hash } = json
  const cells = [tenant, `${seq}`, time, environment, actor.kind, actor.id, source]
  return [...cells, action, object, outcome, trace, detail, hash].map(cell).join(',')
}

/** A spreadsheet takes a text that begins so for a formula and runs it; behind an apostrophe it is a text. */
const FORMULA = /^[=+\-@\t\r]/

function cell(text: string): string {
  const inert = FORMULA.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert
}

/** A checkpoint as text, to be kept away from the relay. */
export function checkpointJson({ tenantId, seq, time, hash, signature }: AuditCheckpoint) {
  return {
    tenant: tenantId,
    seq,
    time: new Date(time).toISOString(),
    hash: Buffer.from(hash).toString('hex'),
    signature: Buffer.from(signature).toString('base64'),
  }
}

/** What {@link checkpointJson} gives. */
export type CheckpointJson = ReturnType<typeof checkpointJson>

/** Milliseconds since 1970 of an RFC 3339 time or a plain date. @throws {TunnelError} CONFIG */
export function parseTime(text: string): number {
  const ms = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (Number.isNaN(ms)) {
    throw new TunnelError('CONFIG', 'A time is 2026-11-22 or 2026-11-22T13:00:00Z.')
  }
  return ms
}
