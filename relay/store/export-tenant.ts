import { join } from 'node:path'
import { Kysely, sql } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import type { Database } from './change.ts'
import { sqliteDialect } from './sqlite-dialect.ts'
import { openDatabaseToRead } from './sqlite-file.ts'
import { Statements } from './sqlite-statements.ts'
import type { Tables } from './tables.ts'
import { TENANT_TABLES } from './tenant-removal.ts'

/** Rows that are given at a time. */
const ROWS_AT_ONCE = 500

/** What is left out: it opens what no export should open, or opens nothing without it. */
const WITHHELD: ReadonlySet<string> = new Set(['wrapped', 'sealed', 'signature', 'password_hash'])

/**
 * Everything of a tenant as one JSON object, in parts, from one moment, beside a relay that may be running. Secrets stand there by
 * name only. Its last member is the number of rows, so that what was cut off can be told from what is whole.
 *
 * @throws {TunnelError} NOT_FOUND where there is no such tenant, before the first part; STORE
 */
export async function* exportTenant(directory: string, tenantId: string): AsyncGenerator<string, void> {
  const database = await openDatabaseToRead(join(directory, 'relay.db'))
  // One connection: the transaction holds for whatever is asked.
  const db: Database = new Kysely<Tables>({ dialect: sqliteDialect({ reader: new Statements(database) }) })
  try {
    // Deferred: a reader that sees one moment, and holds up no writer.
    await sql`begin deferred`.execute(db)
    const tenant = await db.selectFrom('tenants').selectAll().where('id', '=', tenantId).executeTakeFirst()
    if (tenant === undefined) throw new TunnelError('NOT_FOUND', `There is no tenant ${tenantId}.`)
    const head = { format: 'sallyport tenant export 1', tenant: tenantId, createdAt: tenant.created_at }
    yield `${JSON.stringify(head).slice(0, -1)},"tables":{`
    let rows = 0
    for (const [index, table] of TENANT_TABLES.entries()) {
      yield `${index === 0 ? '' : ','}\n"${table}":[`
      for await (const { count, text } of partsOf(db, table, tenantId)) {
        rows += count
        yield text
      }
      yield ']'
    }
    yield `\n},"rows":${rows}}\n`
  } finally {
    await db.destroy()
  }
}

async function* partsOf(db: Database, table: (typeof TENANT_TABLES)[number], tenantId: string) {
  let lines: string[] = []
  let isFirst = true
  const take = () => {
    const part = { count: lines.length, text: `${isFirst ? '' : ','}${lines.join(',')}` }
    isFirst = false
    lines = []
    return part
  }
  for await (const row of db.selectFrom(table).selectAll().where('tenant_id', '=', tenantId).stream()) {
    lines.push(`\n${JSON.stringify(row, plain)}`)
    if (lines.length === ROWS_AT_ONCE) yield take()
  }
  if (lines.length > 0) yield take()
}

/** For JSON.stringify: bytes as hexadecimal, nothing of what is withheld. */
function plain(key: string, value: unknown): unknown {
  if (WITHHELD.has(key)) return undefined
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
}
