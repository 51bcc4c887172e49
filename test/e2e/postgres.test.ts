import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import { eventually, within } from '../support/deadline.ts'
import { type PostgresService, startPostgres } from '../support/postgres.ts'
import { copyIn, copyOut } from '../support/postgres-copy.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { dial } from '../support/tcp-kit.ts'

const ROWS = 50_000
/** Bytes of one value in hexadecimal: with the number before it a row has about 1,000. */
const VALUE_BYTES = 496
/** Two different halves of the wire protocol's number for "cancel" (PostgreSQL, message formats, CancelRequest). */
const CANCEL_CODE = (1234 << 16) | 5678

/** Rows in the text form of COPY, in pieces of 64 rows; the hash is taken as they leave. */
function* rowPieces(hash: ReturnType<typeof createHash>): Generator<Buffer> {
  for (let row = 0; row < ROWS; ) {
    const lines: string[] = []
    for (; lines.length < 64 && row < ROWS; row++) {
      lines.push(`${row}\t${randomBytes(VALUE_BYTES).toString('hex')}\n`)
    }
    const piece = Buffer.from(lines.join(''))
    hash.update(piece)
    yield piece
  }
}

describe('PostgreSQL through the tunnel', () => {
  let kit: RelayKit
  let postgres: PostgresService
  const ports: Record<string, number> = {}

  before(async () => {
    postgres = await startPostgres()
    kit = await startKit()
    await kit.startAgent({ rules: { db: postgres.port } })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/db'))
    ports.listener = await kit.publish('berlin/db')
    ports.connector = (await kit.forward(connector, 'berlin/db')).port
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await postgres.stop()
  })

  const connect = async (road: string): Promise<pg.Client> => {
    const { user, password, database } = postgres
    const client = new pg.Client({ host: '127.0.0.1', port: ports[road] ?? 0, user, password, database })
    client.on('error', () => undefined)
    await within(client.connect(), 'the login')
    return client
  }

  const pidOf = async (client: pg.Client): Promise<number> =>
    (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0

  it('serves fifty clients at once, over both roads', async () => {
    const clients = await Promise.all(
      Array.from({ length: 50 }, (_, index) => connect(index % 2 === 0 ? 'listener' : 'connector')),
    )
    const answers = await Promise.all(
      clients.map((client, index) => client.query('select $1::int * 2 as twice, pg_sleep(0.1)', [index])),
    )
    assert.deepEqual(
      answers.map(({ rows }) => rows[0]?.twice),
      clients.map((_, index) => index * 2),
    )
    await Promise.all(clients.map((client) => client.end()))
  })

  for (const road of ['listener', 'connector']) {
    it(`${road}: a query has its answer`, async () => {
      const client = await connect(road)
      const { rows } = await client.query("select 6 * 7 as answer, repeat('x', 100000) as long")
      assert.equal(rows[0]?.answer, 42)
      assert.equal(rows[0]?.long.length, 100_000)
      await client.end()
    })

    it(`${road}: 50 MB go in by COPY and come out again, the same to the byte`, async () => {
      const client = await connect(road)
      await client.query('create temporary table bulk (id int, value text)')
      const sent = createHash('sha256')
      await within(copyIn(client, 'copy bulk from stdin', rowPieces(sent)), 'COPY in', 30_000)
      const got = createHash('sha256')
      let length = 0
      const out = copyOut(client, 'copy bulk to stdout', (chunk) => {
        got.update(chunk)
        length += chunk.length
      })
      await within(out, 'COPY out', 30_000)
      assert.ok(length > 49_000_000, `${length} bytes`)
      assert.equal(got.digest('hex'), sent.digest('hex'))
      await client.end()
    })

    it(`${road}: a running query is cancelled by a second connection with its key, and its own goes on`, async () => {
      const client = await connect(road)
      const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
      const watcher = await connect(road)
      const isBusy = async () =>
        (
          await watcher.query("select 1 from pg_stat_activity where pid = $1 and state = 'active'", [
            processID,
          ])
        ).rowCount === 1
      const slept = assert.rejects(client.query('select pg_sleep(60)'), { code: '57014' })
      await eventually(isBusy, 'the query runs')
      const packet = Buffer.alloc(16)
      for (const [index, word] of [16, CANCEL_CODE, processID, secretKey].entries()) {
        packet.writeInt32BE(word, index * 4)
      }
      const request = await dial(ports[road] ?? 0)
      request.socket.end(packet)
      // The server says nothing: the end of the connection is its answer.
      const { end, bytes } = await request.closed
      assert.equal(`${end} ${bytes.length}`, 'FIN 0')
      await within(slept, 'the cancel')
      assert.equal((await client.query('select 1 as one')).rows[0]?.one, 1)

      const again = assert.rejects(client.query('select pg_sleep(60)'), { code: '57014' })
      await eventually(isBusy, 'the query runs')
      await watcher.query('select pg_cancel_backend($1)', [processID])
      await within(again, 'the cancel')
      await client.end()
      await watcher.end()
    })

    it(`${road}: a crash of the server breaks its connections, and new ones work when it is back`, async () => {
      const client = await connect(road)
      const victim = await connect(road)
      const pid = await pidOf(victim)
      const broken = [client, victim].map(
        (one) => new Promise((resolve) => one.once('end', () => resolve(one))),
      )
      const query = assert.rejects(victim.query('select pg_sleep(60)'))
      // The server takes a killed process of its own for a crash, and starts again.
      process.kill(pid, 'SIGKILL')
      await within(Promise.all([...broken, query]), 'the end of both connections')
      await eventually(
        async () => {
          const fresh = await connect(road).catch(() => undefined)
          if (fresh === undefined) return false
          const { rows } = await fresh.query('select 1 as one')
          await fresh.end()
          return rows[0]?.one === 1
        },
        'the server is back',
        20_000,
      )
    })
  }
})
