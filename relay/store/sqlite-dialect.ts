import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import { failureOf, type Outcome, type SqliteFailure, type Statements } from './sqlite-statements.ts'

/** Runs what changes the file, one statement after the other. */
export interface Writer {
  /** @throws {TunnelError} CONFLICT, STORE */
  run(sql: string, values: readonly unknown[]): Promise<Outcome>
  close(): Promise<void>
}

/** What kysely speaks to. */
export interface SqliteConnections {
  /** Looks up on the caller's thread; without a writer it runs all there is. */
  readonly reader: Statements
  readonly writer?: Writer
  /** Hears of a statement and its values before it runs. */
  readonly onStatement?: ((sql: string, values: readonly unknown[]) => void) | undefined
}

/** SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE. */
const TAKEN: ReadonlySet<unknown> = new Set([1555, 2067])

/** CONFLICT where a unique value is taken, STORE for all else. */
export function storeError(failure: SqliteFailure, cause: unknown = failure): TunnelError {
  return TAKEN.has(failure.errcode)
    ? new TunnelError('CONFLICT', '', { cause })
    : new TunnelError('STORE', failure.message, { cause })
}

/**
 * Lets kysely, which knows another driver, speak to node:sqlite. It takes over both connections and closes them.
 *
 * A look-up goes to the reader at once and sees what is committed, whatever is being written meanwhile. Transactions, with the
 * look-ups in them, and single changes go to the writer, one after the other.
 */
export function sqliteDialect(connections: SqliteConnections): Dialect {
  return {
    createAdapter: () => new ManyConnections(),
    createDriver: () => new SqliteDriver(connections),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

/** Kysely would have each look-up wait for the transaction before it. */
class ManyConnections extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

class SqliteDriver implements Driver {
  readonly #connections: SqliteConnections
  /** Settles when whoever writes now has done so. */
  #written: Promise<void> = Promise.resolve()

  constructor(connections: SqliteConnections) {
    this.#connections = connections
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<Connection> {
    return new Connection(this.#connections, () => this.#turn())
  }

  async beginTransaction(connection: Connection): Promise<void> {
    await connection.begin()
  }

  async commitTransaction(connection: Connection): Promise<void> {
    await connection.write('commit')
  }

  async rollbackTransaction(connection: Connection): Promise<void> {
    await connection.write('rollback')
  }

  async releaseConnection(connection: Connection): Promise<void> {
    connection.release()
  }

  async destroy(): Promise<void> {
    const { reader, writer } = this.#connections
    reader.close()
    await writer?.close()
  }

  /** @returns what ends the turn */
  async #turn(): Promise<() => void> {
    const before = this.#written
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#written = promise
    await before
    return resolve
  }
}

class Connection implements DatabaseConnection {
  readonly #connections: SqliteConnections
  readonly #turn: () => Promise<() => void>
  /** Ends the transaction's turn; undefined outside of one. */
  #endTurn: (() => void) | undefined

  constructor(connections: SqliteConnections, turn: () => Promise<() => void>) {
    this.#connections = connections
    this.#turn = turn
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const isLookUp = this.#endTurn === undefined && sql.startsWith('select ')
    const { rows, changes, lastInsertRowid } = isLookUp
      ? this.#read(sql, parameters)
      : await this.write(sql, parameters)
    return {
      rows: rows as R[],
      ...(changes === undefined ? {} : { numAffectedRows: BigInt(changes) }),
      ...(lastInsertRowid === undefined ? {} : { insertId: BigInt(lastInsertRowid) }),
    }
  }

  async *streamQuery<R>({ sql, parameters }: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    this.#connections.onStatement?.(sql, parameters)
    for (const row of guarded(() => this.#connections.reader.iterate(sql, parameters)))
      yield { rows: [row as R] }
  }

  async begin(): Promise<void> {
    this.#endTurn = await this.#turn()
    // A transaction that reads first and writes later may fail half-way where another process wrote meanwhile; with the
    // write lock from the start it waits instead.
    await this.write('begin immediate')
  }

  async write(sql: string, values: readonly unknown[] = []): Promise<Outcome> {
    const { writer } = this.#connections
    if (writer === undefined) return this.#read(sql, values)
    const endTurn = this.#endTurn === undefined ? await this.#turn() : undefined
    try {
      this.#connections.onStatement?.(sql, values)
      return await writer.run(sql, values)
    } finally {
      endTurn?.()
    }
  }

  release(): void {
    this.#endTurn?.()
    this.#endTurn = undefined
  }

  #read(sql: string, values: readonly unknown[]): Outcome {
    this.#connections.onStatement?.(sql, values)
    return guarded(() => this.#connections.reader.run(sql, values))
  }
}

function guarded<T>(action: () => T): T {
  try {
    return action()
  } catch (err) {
    throw storeError(failureOf(err), err)
  }
}
