import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'

/** Hears of a statement and its values before it runs. */
export type StatementSeen = (sql: string, parameters: readonly unknown[]) => void

/** Kysely writes a few dozen different statements; the limit is there in case one day it writes them without end. */
const STATEMENTS_MAX = 200

/** What a statement that was not run has done. */
const NOTHING_DONE = { changes: 0, lastInsertRowid: 0 }

/** SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE (sqlite.org/rescode.html). */
const TAKEN: ReadonlySet<unknown> = new Set([1555, 2067])

/**
 * Lets kysely, which knows another driver, speak to node:sqlite. It takes over the database and closes it.
 *
 * Every statement goes through here, so this is also where failures get their code: CONFLICT where a unique value is
 * taken, STORE for all else.
 */
export function sqliteDialect(db: DatabaseSync, onStatement?: StatementSeen): SqliteDialect {
  const statements = new Map<string, SqliteStatement>()
  const database: SqliteDatabase = {
    close: () => db.close(),
    prepare: (sql) => {
      const known = statements.get(sql)
      if (known !== undefined) return known
      if (statements.size >= STATEMENTS_MAX) statements.clear()
      // A transaction that reads first and writes later may fail half-way where another process wrote meanwhile;
      // with the write lock from the start it waits instead.
      const statement = adapt(
        guarded(() => db.prepare(sql === 'begin' ? 'begin immediate' : sql)),
        onStatement && ((parameters) => onStatement(sql, parameters)),
        // A full disk or one that fails has undone it already, and saying that would hide what went wrong.
        sql === 'rollback' ? () => db.isTransaction : undefined,
      )
      statements.set(sql, statement)
      return statement
    },
  }
  return new SqliteDialect({ database })
}

/** `isNeeded` is asked before each run; without it the statement always is. */
function adapt(
  statement: StatementSync,
  onRun?: (values: readonly unknown[]) => void,
  isNeeded: () => boolean = () => true,
): SqliteStatement {
  const values = (parameters: readonly unknown[]) => {
    onRun?.(parameters)
    return parameters as SQLInputValue[]
  }
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => guarded(() => statement.all(...values(parameters))),
    run: (parameters) => (isNeeded() ? guarded(() => statement.run(...values(parameters))) : NOTHING_DONE),
    iterate: (parameters) => guarded(() => statement.iterate(...values(parameters))),
  }
}

function guarded<T>(action: () => T): T {
  try {
    return action()
  } catch (err) {
    const { errcode, message } = err as Error & { errcode?: number }
    throw TAKEN.has(errcode)
      ? new TunnelError('CONFLICT', '', { cause: err })
      : new TunnelError('STORE', message, { cause: err })
  }
}
