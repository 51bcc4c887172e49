import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import { within } from '../support/deadline.ts'
import { type PostgresService, startPostgres } from '../support/postgres.ts'
import { copyIn, copyOut } from '../support/postgres-copy.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'

const ROWS = 50_000
/** With the number before it and the end of the line a row has about 1,000 bytes. */
const VALUE = 'v'.repeat(990)

/** How long a statement may take with a relay that goes and comes, in ms. */
const PATIENT_MS = 40_000

/** Rows in the text form of COPY, in pieces of 64 rows; `onPiece` hears how many rows have left before each. */
function* rowPieces(hash: ReturnType<typeof createHash>, onPiece: (rows: number) => void): Generator<Buffer> {
  for (let row = 0; row < ROWS; ) {
    onPiece(row)
    const lines: string[] = []
    for (; lines.length < 64 && row < ROWS; row++) lines.push(`${row}\t${VALUE}\n`)
    const piece = Buffer.from(lines.join(''))
    hash.update(piece)
    yield piece
  }
}

describe('PostgreSQL while the relay is stopped and started again', () => {
  let kit: RelayKit
  let postgres: PostgresService
  let agent: TestAgent
  let port = 0

  before(async () => {
    postgres = await startPostgres()
    kit = await startKit()
    agent = await kit.startAgent({ rules: { db: postgres.port } })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/db'))
    port = (await kit.forward(connector, 'berlin/db')).port
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await postgres.stop()
  })

  const connect = async (): Promise<pg.Client> => {
    const { user, password, database } = postgres
    const client = new pg.Client({ host: '127.0.0.1', port, user, password, database })
    client.on('error', () => undefined)
    await within(client.connect(), 'the login')
    return client
  }

  const resumed = () => agent.log.records.filter(({ msg }) => msg === 'stream resumed').length

  /** One restart at a time, and a promise of its end. */
  let restarting: Promise<void> = Promise.resolve()
  const restart = (): void => {
    restarting = restarting.then(async () => {
      await kit.stopRelay()
      await kit.startAgain()
    })
  }

  it('a transaction that is open stays open, and what it did is there', async () => {
    const client = await connect()
    await client.query('create temporary table kept (n int)')
    await client.query('begin')
    await client.query('insert into kept values (1)')
    const before = await client.query('select pg_backend_pid() as pid, txid_current() as transaction')
    for (let round = 0; round < 2; round++) {
      restart()
      await client.query('insert into kept values (2)')
      await within(restarting, 'the relay is back', PATIENT_MS)
    }
    const now = await within(
      client.query('select pg_backend_pid() as pid, txid_current() as transaction'),
      'an answer',
      PATIENT_MS,
    )
    assert.deepEqual(now.rows, before.rows)
    assert.equal(resumed(), 2)
    await client.query('commit')
    assert.equal((await client.query('select sum(n)::int as sum from kept')).rows[0]?.sum, 5)
    await client.end()
  })

  it('COPY brings 50 MB in and out, the same to the byte', async () => {
    const client = await connect()
    const before = resumed()
    await client.query('create temporary table bulk (id int, value text)')
    const restartsAt = new Set([12_800, 32_000])
    const sent = createHash('sha256')
    const rows = rowPieces(sent, (row) => {
      if (restartsAt.has(row)) restart()
    })
    await within(copyIn(client, 'copy bulk from stdin', rows), 'COPY in', PATIENT_MS)
    await within(restarting, 'the relay is back', PATIENT_MS)

    const got = createHash('sha256')
    let length = 0
    let nextRestart = 10_000_000
    const out = copyOut(client, 'copy bulk to stdout', (chunk) => {
      got.update(chunk)
      length += chunk.length
      if (length < nextRestart) return
      nextRestart += 25_000_000
      restart()
    })
    await within(out, 'COPY out', PATIENT_MS)
    assert.ok(length > 49_000_000, `${length} bytes`)
    assert.equal(got.digest('hex'), sent.digest('hex'))
    await within(restarting, 'the relay is back', PATIENT_MS)
    assert.ok(resumed() - before >= 4, `resumed ${resumed() - before} times`)
    await client.end()
  })
})
