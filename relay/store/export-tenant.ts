import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Kysely, sql } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import type { Database } from './change.ts'
import { sqliteDialect } from './sqlite-dialect.ts'
import { openDatabaseToRead } from './sqlite-file.ts'
import type { Tables } from './tables.ts'
import { TENANT_TABLES } from './tenant-removal.ts'

/** Rows that are written at a time. */
const ROWS_AT_ONCE = 500

/** What is left out: it opens what no export should open, or opens nothing without it. */
const WITHHELD: ReadonlySet<string> = new Set(['wrapped', 'sealed', 'signature', 'password_hash'])

export interface TenantExport {
  readonly rows: number
}

/**
 * Writes everything of a tenant into a new file, mode 0600, as one JSON object, from one moment, beside a relay that may
 * be running. Secrets stand there by name only.
 *
 * @throws {TunnelError} NOT_FOUND where there is no such tenant; CONFLICT where there is such a file;
 * CONFIG where it cannot be written
 */
export async function exportTenant(
  directory: string,
  tenantId: string,
  path: string,
  signal: AbortSignal,
): Promise<TenantExport> {
  const database = await openDatabaseToRead(join(directory, 'relay.db'))
  const db: Database = new Kysely<Tables>({ dialect: sqliteDialect(database) })
  try {
    return await db.connection().execute(async (one) => {
      // Deferred: a reader that sees one moment, and holds up no writer.
      await sql`begin deferred`.execute(one)
      const tenant = await one.selectFrom('tenants').selectAll().where('id', '=', tenantId).executeTakeFirst()
      if (tenant === undefined) throw new TunnelError('NOT_FOUND', `There is no tenant ${tenantId}.`)
      return writeExport(one, tenantId, tenant.created_at, path, signal)
    })
  } finally {
    await db.destroy()
  }
}

async function writeExport(
  db: Database,
  tenantId: string,
  createdAt: number,
  path: string,
  signal: AbortSignal,
): Promise<TenantExport> {
  const file = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST') throw new TunnelError('CONFLICT', `There is a file ${path}.`, { cause })
    throw new TunnelError('CONFIG', `${path} cannot be written.`, { cause })
  })
  let rows = 0
  try {
    const head = { format: 'sallyport tenant export 1', tenant: tenantId, createdAt }
    await file.write(`${JSON.stringify(head).slice(0, -1)},"tables":{`)
    for (const [index, table] of TENANT_TABLES.entries()) {
      await file.write(`${index === 0 ? '' : ','}\n"${table}":[`)
      let lines: string[] = []
      let count = 0
      const write = async () => {
        await file.write(lines.join(''))
        lines = []
        signal.throwIfAborted()
      }
      for await (const row of db.selectFrom(table).selectAll().where('tenant_id', '=', tenantId).stream()) {
        lines.push(`${count++ === 0 ? '' : ','}\n${JSON.stringify(row, plain)}`)
        if (lines.length === ROWS_AT_ONCE) await write()
      }
      await write()
      await file.write(']')
      rows += count
    }
    await file.write('\n}}\n')
    await file.sync()
    return { rows }
  } catch (err) {
    await unlink(path).catch(() => undefined)
    throw err
  } finally {
    await file.close()
  }
}

/** For JSON.stringify: bytes as hexadecimal, nothing of what is withheld. */
function plain(key: string, value: unknown): unknown {
  if (WITHHELD.has(key)) return undefined
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
}
