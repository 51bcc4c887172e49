import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { askTarget, freePort, openDirectory, type Server, startServer } from './health-kit.ts'

/** A redis-server that keeps nothing, asked as an agent asks. Runs alone: node test/run.ts test/interop/health-redis.interop.ts */

async function redis(port: number, ...args: string[]): Promise<Server> {
  const directory = await openDirectory()
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '']
  return startServer('redis-server', [...place, '--loglevel', 'verbose', ...args], { directory, port })
}

/** A connection that Redis has taken. */
async function guestOf(port: number): Promise<Socket> {
  for (;;) {
    const guest = connect(port, '127.0.0.1').on('error', () => undefined)
    guest.write('PING\r\n')
    const [answer] = await once(guest, 'data')
    // The one who looked whether it listens may still have the only place.
    if (String(answer) === '+PONG\r\n') return guest
    guest.destroy()
  }
}

test('Redis is well, with and without a password', async () => {
  for (const args of [[], ['--requirepass', 'secret']]) {
    const port = await freePort()
    await using _server = await redis(port, ...args)
    const { state, note } = await askTarget(port, 'redis')
    assert.deepEqual([state, note], ['ok', 'Redis'])
  }
})

test('Redis that is full fails, and nothing is written into its log for the asking', async () => {
  const port = await freePort()
  await using server = await redis(port, '--maxclients', '1')
  const guest = await guestOf(port)
  const { state, code, note, detail } = await askTarget(port, 'redis')
  guest.destroy()
  assert.deepEqual([state, code, note], ['failing', 'TARGET_UNHEALTHY', 'Redis refuses'])
  assert.match(detail, /max number of clients reached/)
  assert.doesNotMatch(server.output(), /Error|SECURITY/)
})

test('what answers as Redis is no PostgreSQL', async () => {
  const port = await freePort()
  await using _server = await redis(port)
  const { state, code } = await askTarget(port, 'postgres')
  assert.deepEqual([state, code], ['failing', 'TARGET_UNHEALTHY'])
})
