import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'

/** Kysely writes a few dozen different statements; the limit is there in case one day it writes them without end. */
const STATEMENTS_MAX = 200

/** What a statement gave. */
export interface Outcome {
  readonly rows: readonly object[]
  /** Rows that were changed; undefined where the statement gives rows. */
  readonly changes?: number | bigint
  readonly lastInsertRowid?: number | bigint
}

/** What node:sqlite says of a failure. */
export interface SqliteFailure {
  /** sqlite.org/rescode.html */
  readonly errcode: number | undefined
  readonly message: string
}

/** Of an error of node:sqlite what another thread may be told. */
export function failureOf(err: unknown): SqliteFailure {
  const { errcode, message } = err as Error & { errcode?: number }
  return { errcode, message }
}

interface Prepared {
  readonly statement: StatementSync
  readonly givesRows: boolean
}

/** Runs statements on one connection of SQLite, which it takes over, and keeps them prepared. Errors are those of node:sqlite. */
export class Statements {
  readonly #db: DatabaseSync
  readonly #prepared = new Map<string, Prepared>()

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  run(sql: string, values: readonly unknown[]): Outcome {
    // A full disk or one that fails has undone the transaction already, and saying that would hide what went wrong.
    if (sql === 'rollback' && !this.#db.isTransaction) return { rows: [] }
    const { statement, givesRows } = this.#prepare(sql)
    if (givesRows) return { rows: statement.all(...(values as SQLInputValue[])) }
    const { changes, lastInsertRowid } = statement.run(...(values as SQLInputValue[]))
    return { rows: [], changes, lastInsertRowid }
  }

  /** Row by row; the connection does nothing else meanwhile. */
  iterate(sql: string, values: readonly unknown[]): Iterable<object> {
    return this.#prepare(sql).statement.iterate(...(values as SQLInputValue[]))
  }

  close(): void {
    this.#db.close()
  }

  #prepare(sql: string): Prepared {
    const known = this.#prepared.get(sql)
    if (known !== undefined) return known
    if (this.#prepared.size >= STATEMENTS_MAX) this.#prepared.clear()
    const statement = this.#db.prepare(sql)
    const prepared = { statement, givesRows: statement.columns().length > 0 }
    this.#prepared.set(sql, prepared)
    return prepared
  }
}
