import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { type PostgresService, startPostgres } from '../support/postgres.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

/** psql as a user types it, through both roads: the relay's own listener and a connector's forward. */

interface Outcome {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

let database: PostgresService
let kit: RelayKit
const ports = new Map<string, number>()

function start(port: number, args: readonly string[]): ChildProcess {
  const { user, password, database: name } = database
  return spawn('psql', ['-X', '-q', '-h', '127.0.0.1', '-p', String(port), '-U', user, '-d', name, ...args], {
    env: { ...process.env, PGPASSWORD: password, PGCONNECT_TIMEOUT: '10' },
  })
}

async function finish(child: ChildProcess): Promise<Outcome> {
  const stdout: Buffer[] = []
  let stderr = ''
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, stdout: Buffer.concat(stdout), stderr }
}

before(async () => {
  database = await startPostgres()
  kit = await startKit()
  await kit.startAgent({ rules: { db: database.port } })
  ports.set('relay listener', await kit.publish('berlin/db'))
  const connector = await kit.connect(await kit.credentials('dev', 'berlin/db'))
  ports.set('connector', (await kit.forward(connector, 'berlin/db')).port)
})

after(async () => {
  await kit[Symbol.asyncDispose]()
  await database.stop()
})

for (const road of ['relay listener', 'connector']) {
  describe(`psql through the ${road}`, () => {
    const port = () => ports.get(road) ?? 0

    it('answers a query', async () => {
      const { code, stdout } = await finish(start(port(), ['-At', '-c', 'select 6 * 7']))
      assert.equal(code, 0)
      assert.equal(stdout.toString(), '42\n')
    })

    it('carries \\copy out of 60 MB without a wrong byte', async () => {
      const query = 'copy (select repeat(md5(i::text), 20) from generate_series(1, 100000) i) to stdout'
      const [direct, tunnelled] = await Promise.all(
        [database.port, port()].map((where) => finish(start(where, ['-c', query]))),
      )
      assert.equal(tunnelled?.code, 0)
      assert.ok((tunnelled?.stdout.length ?? 0) > 60_000_000)
      assert.equal(hash(tunnelled?.stdout), hash(direct?.stdout))
    })

    it('carries \\copy in to its end', async () => {
      const child = start(port(), [
        '-At',
        '-c',
        'create temp table t (v text)',
        '-c',
        '\\copy t from pstdin',
        '-c',
        'select count(*), sum(length(v)) from t',
      ])
      child.stdin?.end(`${'x'.repeat(999)}\n`.repeat(20_000))
      const { code, stdout, stderr } = await finish(child)
      assert.equal(code, 0, stderr)
      assert.match(stdout.toString(), /^20000\|19980000$/m)
    })

    it('cancels a running query at Ctrl-C', async () => {
      const child = start(port(), ['-c', '\\echo begun', '-c', 'select pg_sleep(60)'])
      child.stdout?.once('data', () => setTimeout(() => child.kill('SIGINT'), 300))
      const { stderr } = await finish(child)
      assert.match(stderr, /canceling statement due to user request/)
    })
  })
}

function hash(bytes: Buffer | undefined): string {
  return createHash('sha256')
    .update(bytes ?? '')
    .digest('hex')
}
