import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { askTarget, freePort, openDirectory, runProgram, startServer } from './health-kit.ts'

/** A mariadbd of its own, asked as an agent asks. Runs alone: node test/run.ts test/interop/health-mariadb.interop.ts */

/** An address of this host that is not the loopback: only guests from there are counted. */
const OUTER = Object.values(networkInterfaces())
  .flatMap((list) => list ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

async function mariadb(port: number, host: string, ...args: string[]) {
  const directory = await openDirectory()
  const data = join(directory, 'data')
  const common = [`--datadir=${data}`, '--user=nobody']
  await runProgram('mariadb-install-db', [
    '--no-defaults',
    ...common,
    '--auth-root-authentication-method=normal',
  ])
  const place = [`--port=${port}`, `--bind-address=${host}`, `--socket=${join(directory, 'socket')}`]
  const files = [`--pid-file=${join(directory, 'pid')}`, '--skip-log-bin', '--innodb-buffer-pool-size=8M']
  return startServer('mariadbd', ['--no-defaults', ...common, ...place, ...files, ...args], {
    directory,
    port,
    host,
  })
}

test('MariaDB is well, and its version stays on the site', async () => {
  const port = await freePort()
  await using _server = await mariadb(port, '127.0.0.1')
  const { state, note, detail } = await askTarget(port, 'mysql')
  assert.deepEqual([state, note], ['ok', 'MySQL'])
  assert.match(detail, /MariaDB/)
})

test('MariaDB that has no room for another client fails', async () => {
  const port = await freePort()
  await using _server = await mariadb(port, '127.0.0.1', '--max-connections=10')
  const guests: Socket[] = []
  let result = await askTarget(port, 'mysql')
  assert.equal(result.state, 'ok')
  // Those who are leaving may make room for a moment.
  for (; result.state === 'ok' && guests.length < 50; result = await askTarget(port, 'mysql')) {
    const guest = connect(port, '127.0.0.1').on('error', () => undefined)
    guests.push(guest)
    await once(guest, 'data')
  }
  const { state, code, note } = result
  for (const guest of guests) guest.destroy()
  assert.deepEqual([state, code, note], ['failing', 'TARGET_UNHEALTHY', 'MySQL refuses with error 1040'])
})

test('MariaDB that has no user for this host says so', { skip: OUTER === undefined }, async () => {
  const port = await freePort()
  const host = OUTER ?? ''
  await using _server = await mariadb(port, host)
  const { state, note } = await askTarget(port, 'mysql', host)
  assert.deepEqual([state, note], ['failing', 'MySQL refuses with error 1130'])
})

test('MariaDB counts each probe and blocks its host at last, which is why it is asked so seldom', {
  skip: OUTER === undefined,
}, async () => {
  const port = await freePort()
  const host = OUTER ?? ''
  await using server = await mariadb(port, host, '--max-connect-errors=4')
  await runProgram(
    'mariadb',
    ['--no-defaults', `--socket=${join(server.directory, 'socket')}`, '--user=root'],
    "create user guest@'%';",
  )
  const notes: string[] = []
  for (let count = 0; count < 8; count++) notes.push((await askTarget(port, 'mysql', host)).note)
  assert.equal(notes[0], 'MySQL')
  assert.equal(notes.at(-1), 'MySQL refuses with error 1129')
})
