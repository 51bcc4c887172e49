import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Act, RELAY_CHAIN } from '../audit/record.ts'
import type { AuditHead } from '../audit/store.ts'
import { change, type Database, readHead } from './change.ts'

/** Every table with rows of tenants, children before what they refer to. A new table gets its place here. */
export const TENANT_TABLES = [
  'federated_sessions',
  'federated_people',
  'identity_providers',
  'person_keys',
  'person_sessions',
  'recovery_codes',
  'person_factors',
  'person_links',
  'login_addresses',
  'role_assignments',
  'login_policies',
  'people',
  'grant_requests',
  'grants',
  'freezes',
  'copy_policies',
  'restriction_uses',
  'restrictions',
  'support_grants',
  'machines',
  'deliveries',
  'publications',
  'join_tokens',
  'agents',
  'connectors',
  'sites',
  'environments',
  'replies',
  'secrets',
  'tenant_keys',
  'audit_checkpoints',
  'audit_records',
] as const

/** What was removed of a tenant. */
export interface TenantRemoval {
  /** Rows by table, in the order of {@link TENANT_TABLES}. */
  readonly removed: Readonly<Record<(typeof TENANT_TABLES)[number], number>>
  /** The end that its audit chain had. */
  readonly audit: AuditHead
}

/** Records of the chain that go in one transaction: a few milliseconds. */
const RECORDS_AT_ONCE = 2_000

/**
 * Removes a tenant with everything of it: nothing of it stays in the file. The chain goes first, in parts, because it may
 * be long; a crash leaves a tenant with a part of its chain, and the same call ends the work.
 *
 * @returns undefined where there is no such tenant
 */
export async function removeTenant(
  db: Database,
  tenantId: string,
  act: Act,
): Promise<TenantRemoval | undefined> {
  const audit = await readHead(db, tenantId)
  const records = await removeRecords(db, tenantId, audit.seq)
  const removal = await change(db, tenantId, act, async (tx, tell) => {
    const removed: Record<string, number> = {}
    for (const table of TENANT_TABLES) {
      const result = await tx.deleteFrom(table).where('tenant_id', '=', tenantId).executeTakeFirst()
      removed[table] = Number(result.numDeletedRows) + (table === 'audit_records' ? records : 0)
    }
    const tenant = await tx.deleteFrom('tenants').where('id', '=', tenantId).executeTakeFirst()
    if (tenant.numDeletedRows === 0n) return undefined
    const detail = `${removed.audit_records} records, the last ${Buffer.from(audit.hash).toString('hex')}`
    tell({ action: 'tenant.remove', object: tenantId, outcome: 'OK', detail }, RELAY_CHAIN)
    return { removed: removed as TenantRemoval['removed'], audit }
  })
  // What was written before is in the log of SQLite still.
  if (removal !== undefined) await sql`pragma wal_checkpoint(truncate)`.execute(db)
  return removal
}

/** All but the last. @returns how many */
async function removeRecords(db: Database, tenantId: string, last: number): Promise<number> {
  let count = 0
  for (let from = 0; from < last; from += RECORDS_AT_ONCE) {
    const result = await db
      .deleteFrom('audit_records')
      .where('tenant_id', '=', tenantId)
      .where('seq', '<', Math.min(from + RECORDS_AT_ONCE, last))
      .executeTakeFirst()
    count += Number(result.numDeletedRows)
    await setImmediate()
  }
  return count
}
