import { createHash } from 'node:crypto'
import pg from 'pg'
import { type Question, wrong } from './measure.ts'

/** Where a PostgreSQL server is reached, and as whom. */
export interface SqlLogin {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

/** For the login and for one answer each, in ms. */
const ANSWER_MS = 10_000
const ROWS = 1000

/** The statements that are sent, as a person may send them. */
export const STATEMENTS = {
  version: 'select version()',
  rows: `select n, md5(n::text) from generate_series(1, ${ROWS}) n`,
} as const

/** One row: which server it is. */
export function serverVersion(login: SqlLogin): Question {
  return sqlQuestion(login, STATEMENTS.version, (rows) => {
    const version = String(rows[0]?.[0])
    if (!version.startsWith('PostgreSQL ')) throw wrong(STATEMENTS.version, version, 'PostgreSQL ...')
    return version.split(',')[0] ?? version
  })
}

/** A thousand rows, each value of which is known beforehand. */
export function manyRows(login: SqlLogin): Question {
  const expected = Array.from({ length: ROWS }, (_, index) => rowOf(index + 1))
  return sqlQuestion(login, STATEMENTS.rows, (rows) => {
    const got = rows.map((row) => row.join(' '))
    const at = expected.findIndex((row, index) => row !== got[index])
    if (at >= 0) throw wrong(`row ${at + 1} of ${ROWS}`, String(got[at]), String(expected[at]))
    if (got.length !== ROWS) throw wrong(STATEMENTS.rows, `${got.length} rows`, String(ROWS))
    return `${ROWS} rows, every value is right`
  })
}

function rowOf(n: number): string {
  return `${n} ${createHash('md5').update(String(n)).digest('hex')}`
}

type Rows = readonly (readonly unknown[])[]

/** One session, opened by the first question. */
function sqlQuestion(login: SqlLogin, text: string, read: (rows: Rows) => string): Question {
  const client = new pg.Client({ ...login, connectionTimeoutMillis: ANSWER_MS, query_timeout: ANSWER_MS })
  // A session that breaks fails the query that waits for it; between queries nobody needs to hear of it.
  client.on('error', () => undefined)
  let connected: Promise<unknown> | undefined
  return {
    ask: async () => {
      connected ??= client.connect()
      await connected
      const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' })
      return read(rows)
    },
    [Symbol.asyncDispose]: () => client.end(),
  }
}
