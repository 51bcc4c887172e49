import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import pg from 'pg'
import type { Connector } from '../../connector/index.ts'
import { transfer, transferTarget } from '../e2e/survival-kit.ts'
import { startPostgres } from '../support/postgres.ts'
import { copyIn, copyOut } from '../support/postgres-copy.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

/**
 * node test/soak/restarts.ts [MIB]: the relay is stopped and started again every 3 s, while an open transaction waits, a COPY
 * of MIB (1,024 by default) goes in and then out, one upload of half of that runs, and 200 streams of 1 B to 4 MiB each
 * way come and go. All by way of a connector, all checked by hash. Prints what was seen; ends with 1 where a byte is wrong
 * or a stream was lost. Some minutes.
 */

const MIB = 1_048_576
const RESTART_EVERY_MS = 3_000
const STREAMS = 200
const AT_ONCE = 20
/** With the number before it and the end of the line a row has about 1,000 bytes. */
const VALUE = 'v'.repeat(990)

const [mib = 1_024] = process.argv.slice(2).map(Number)
if (!(mib >= 1)) throw new Error('how many MiB?')

function* rows(hash: ReturnType<typeof createHash>): Generator<Buffer> {
  const count = Math.ceil((mib * MIB) / 1_000)
  for (let row = 0; row < count; ) {
    const lines: string[] = []
    for (; lines.length < 64 && row < count; row++) lines.push(`${row}\t${VALUE}\n`)
    const piece = Buffer.from(lines.join(''))
    hash.update(piece)
    yield piece
  }
}

async function copies(client: pg.Client): Promise<void> {
  await client.query('create temporary table bulk (id int, value text)')
  const [sent, got] = [createHash('sha256'), createHash('sha256')]
  await copyIn(client, 'copy bulk from stdin', rows(sent))
  say(`COPY in: ${mib} MiB`)
  await copyOut(client, 'copy bulk to stdout', (chunk) => got.update(chunk))
  assert.equal(got.digest('hex'), sent.digest('hex'))
  say(`COPY out: the same ${mib} MiB`)
}

async function mixed(connector: Connector): Promise<void> {
  const sizes = Array.from({ length: STREAMS }, (_, index) => Math.floor((4 * MIB) ** ((index % 25) / 24)))
  const next = sizes.entries()
  const work = async () => {
    for (const [index, size] of next) {
      const up = index % 3 === 0 ? 1 : size
      await transfer(connector.connect('berlin/bulk'), up, index % 3 === 1 ? 0 : size)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  say(`${STREAMS} streams`)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Stops the relay and starts it again until told to end. @returns how often */
async function restartUntil(kit: RelayKit, done: Promise<unknown>): Promise<number> {
  let isDone = false
  const end = () => {
    isDone = true
  }
  done.then(end, end)
  let count = 0
  while (!isDone) {
    await new Promise((resolve) => setTimeout(resolve, RESTART_EVERY_MS))
    await kit.stopRelay()
    await kit.startAgain()
    count++
  }
  return count
}

await using kit = await startKit()
const postgres = await startPostgres()
try {
  await using target = await transferTarget()
  const agent = await kit.startAgent({ rules: { db: postgres.port, bulk: target.port } })
  const connector = await kit.connect(await kit.credentials('dev', 'berlin/db', 'berlin/bulk'))
  const { port } = await kit.forward(connector, 'berlin/db')
  const { user, password, database } = postgres
  const login = async () => {
    const client = new pg.Client({ host: '127.0.0.1', port, user, password, database })
    await client.connect()
    return client
  }
  const [session, bulk] = [await login(), await login()]
  await session.query('begin')
  const before = (await session.query('select pg_backend_pid() as pid, txid_current() as id')).rows
  const all = Promise.all([
    copies(bulk),
    transfer(connector.connect('berlin/bulk'), (mib / 2) * MIB, 0).then(() => say(`upload: ${mib / 2} MiB`)),
    mixed(connector),
  ])
  const restarts = await restartUntil(kit, all)
  await all
  assert.deepEqual((await session.query('select pg_backend_pid() as pid, txid_current() as id')).rows, before)
  await session.query('commit')
  assert.equal(target.accepted, STREAMS + 1, 'a target was dialled twice')
  const resumes = agent.log.records.filter(({ msg }) => msg === 'stream resumed').length
  say(
    `all whole through ${restarts} restarts; ${resumes} resumes at the agent; the transaction was the same one`,
  )
  await session.end()
  await bulk.end()
} finally {
  await postgres.stop()
}
