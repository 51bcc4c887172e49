import { CompiledQuery, type Kysely } from 'kysely'
import { CHAIN_START } from '../../shared/audit/chain.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { type Act, type AuditEvent, type Deed, linkRecord } from '../audit/record.ts'
import type { AuditHead } from '../audit/store.ts'
import type { Tables } from './tables.ts'
import type { TimedEvent } from './tenants.ts'

export type Database = Kysely<Tables>

/** Has the deed written into the chain of the tenant whose change this is, or of `chain`. */
export type Tell = (deed: Deed, chain?: string) => void

/**
 * Runs `work` in a transaction and writes what it tells into the audit chain with it: a change without its record, or a
 * record of what did not happen, cannot be. Where `db` is a transaction already, it becomes a part of that.
 */
export function change<T>(
  db: Database,
  tenantId: string,
  act: Act,
  work: (tx: Database, tell: Tell) => Promise<T>,
): Promise<T> {
  const run = async (tx: Database) => {
    const events: AuditEvent[] = []
    const { actor, source, traceId, at } = act
    const result = await work(tx, (deed, chain = tenantId) => {
      events.push({ ...deed, tenantId: chain, actor, source, traceId })
    })
    await appendRecords(
      tx,
      events.map((event) => ({ event, time: at })),
    )
    return result
  }
  return inTransaction(db, run)
}

/** Runs `work` in a transaction of its own, or as a part of the one that `db` is. */
export function inTransaction<T>(db: Database, work: (tx: Database) => Promise<T>): Promise<T> {
  return db.isTransaction ? work(db) : db.transaction().execute(work)
}

/** Links events to the ends of their chains. Only within a transaction. */
export async function appendRecords(tx: Database, events: readonly TimedEvent[]): Promise<void> {
  const heads = new Map<string, AuditHead>()
  const values: unknown[] = []
  for (const { event, time } of events) {
    const { tenantId } = event
    const { seq, hash } = heads.get(tenantId) ?? (await readHead(tx, tenantId))
    const record = linkRecord(event, { seq: seq + 1, time, before: hash })
    const { environment, actor, source, action, object, outcome, traceId, detail } = record
    values.push(tenantId, record.seq, time, environment, actor.kind, actor.id, source)
    values.push(action, object, outcome, traceId, detail, record.hash)
    heads.set(tenantId, record)
  }
  for (let row = 0; row < events.length; row += ROWS_TOGETHER) {
    const rows = Math.min(ROWS_TOGETHER, events.length - row)
    const some = values.slice(row * COLUMNS, (row + rows) * COLUMNS)
    await tx.executeQuery(CompiledQuery.raw(INSERTS[rows - 1] as string, some))
  }
}

/** Records written by one statement at most: each way to the thread that writes costs as much as some records. */
const ROWS_TOGETHER = 32

/** Written out, because compiling it for each record would cost more than running it. */
const INSERT = `insert into "audit_records" ("tenant_id", "seq", "time", "environment", "actor_kind", "actor_id",
"source", "action", "object", "outcome", "trace_id", "detail", "hash") values `
const COLUMNS = 13
const PLACES = `(${Array(COLUMNS).fill('?').join()})`
/** For one record, for two, and so on. */
const INSERTS = Array.from(
  { length: ROWS_TOGETHER },
  (_, more) =>
    INSERT +
    Array(more + 1)
      .fill(PLACES)
      .join(),
)

/** The end of a chain; number 0 where it is empty. */
export async function readHead(db: Database, tenantId: string): Promise<AuditHead> {
  const last = await db
    .selectFrom('audit_records')
    .select(['seq', 'hash'])
    .where('tenant_id', '=', tenantId)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  return last ?? { seq: 0, hash: CHAIN_START }
}

/** @throws {TunnelError} NOT_FOUND, in the same words for a tenant and for an environment that does not exist */
export async function requireEnvironment(db: Database, tenantId: string, environment: string): Promise<void> {
  const found = await db
    .selectFrom('environments')
    .select('name')
    .where('tenant_id', '=', tenantId)
    .where('name', '=', environment)
    .executeTakeFirst()
  if (found === undefined) {
    throw new TunnelError('NOT_FOUND', `There is no environment ${environment} of a tenant ${tenantId}.`, {
      next: 'sallyport relay tenant list; sallyport relay env list --tenant TENANT',
    })
  }
}

/** Gives a CONFLICT of the database a sentence that names what is taken. */
export function nameConflict(detail: string): (err: unknown) => never {
  return (err) => {
    throw isTunnelError(err) && err.code === 'CONFLICT'
      ? new TunnelError('CONFLICT', detail, { cause: err })
      : err
  }
}
