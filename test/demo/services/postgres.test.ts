import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { startPostgres } from '../../../demo/services/postgres.ts'

const SERVICE = new URL('../../../demo/services/postgres.ts', import.meta.url).href

/** Starts a server in a process of its own, which then only waits to be killed. */
const HOLDER = `
const { startPostgres } = await import(${JSON.stringify(SERVICE)})
const { password, port } = await startPostgres()
console.log(JSON.stringify({ password, port }))
setInterval(() => {}, 1000)
`

interface Login {
  readonly port: number
  readonly password: string
}

async function ask<T>(login: Login, question: string): Promise<T[]> {
  const client = new pg.Client({ host: '127.0.0.1', user: 'postgres', database: 'postgres', ...login })
  await client.connect()
  try {
    return (await client.query({ text: question, rowMode: 'array' })).rows.flat() as T[]
  } finally {
    await client.end()
  }
}

describe('the PostgreSQL of tests and demo', () => {
  it('answers on its port, to its password only, and is gone after stop', async () => {
    const service = await startPostgres()
    const [version, data] = await ask<string>(service, "select version(), current_setting('data_directory')")
    assert.match(version ?? '', /^PostgreSQL \d+\.\d+ on /)
    await assert.rejects(ask({ port: service.port, password: 'guess' }, 'select 1'), { code: '28P01' })
    const directory = dirname(data ?? '')
    assert.ok(existsSync(directory))
    await Promise.all([service.stop(), service.stop()])
    assert.equal(existsSync(directory), false)
    await assert.rejects(ask(service, 'select 1'), { code: 'ECONNREFUSED' })
  })

  it('that does not come up in its time leaves nothing', async () => {
    const parent = await mkdtemp('/tmp/sallyport-test-')
    await chmod(parent, 0o777)
    const enough = AbortSignal.abort(new Error('enough'))
    await assert.rejects(startPostgres({ parent, signal: enough }), { message: 'enough' })
    await assert.rejects(startPostgres({ parent, timeoutMs: 50 }))
    // Fails where anything is left in it.
    await rmdir(parent)
  })

  it('goes when the process that started it is killed', { skip: process.platform === 'win32' }, async () => {
    const holder = spawn(process.execPath, ['--input-type=module', '-e', HOLDER], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(holder.stdout, 'data')
    const login = JSON.parse(String(line)) as Login
    const [data] = await ask<string>(login, "select current_setting('data_directory')")
    const directory = dirname(data ?? '')
    assert.match(directory, /sallyport-postgres-/)
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    const deadline = AbortSignal.timeout(20_000)
    // Nothing of ours is left that could tell when it is done, so it is looked for.
    while (existsSync(directory)) await wait(25, undefined, { signal: deadline })
    await assert.rejects(ask(login, 'select 1'), { code: 'ECONNREFUSED' })
  })
})
