import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { dial, echoTarget } from '../support/tcp-kit.ts'
import { startWorld } from './world.ts'

/**
 * F09: node test/faults/nginx-between.ts [MINUTES] [CUT_OFF_SECONDS] (Debian's nginx-light and libnginx-mod-stream)
 * An agent that has nothing to do, behind an nginx that closes a connection on which nothing moved for a minute: ten minutes
 * without a reconnect. The agent's certificate is for the relay alone, so nginx passes bytes on and its limit is that of the
 * stream module. A limit below the interval of PINGs is in test/faults/idle-cutoff.ts.
 */

const MINUTES = Number(process.argv[2] ?? 10)
const CUT_OFF_SECONDS = Number(process.argv[3] ?? 60)

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  return port
}

async function startNginx(root: string, relayPort: number) {
  const port = await freePort()
  const folder = join(root, 'nginx')
  await mkdir(folder)
  const [module] = globSync('/usr/lib/nginx/modules/ngx_stream_module.so')
  const file = join(folder, 'nginx.conf')
  await writeFile(
    file,
    `${module === undefined ? '' : `load_module ${module};`}
    daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log; user root;
    events {}
    stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${relayPort}; proxy_timeout ${CUT_OFF_SECONDS}s; } }\n`,
  )
  const child = spawn('nginx', ['-c', file, '-p', folder], { stdio: 'inherit' })
  await eventually(
    () =>
      new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
        socket.on('connect', () => socket.destroy())
      }),
    'nginx',
  )
  return { port, stop: () => child.kill() }
}

describe('F09: an nginx between agent and relay', () => {
  it(`F09: cuts nobody off in ${MINUTES} minutes of silence, with ${CUT_OFF_SECONDS} s of patience`, async () => {
    await using target = await echoTarget()
    await using world = await startWorld()
    const nginx = await startNginx(world.root, world.port)
    const agent = await world.startAgent({
      targets: { echo: target.port },
      address: `127.0.0.1:${nginx.port}`,
    })
    const port = await world.publish('berlin/echo')
    const client = await dial(port)
    client.socket.write('x')
    await client.has(1)
    await eventually(async () => (await world.sessionsOf('berlin')).length === 2, 'both sessions', 20_000)
    const sessions = (await world.sessionsOf('berlin')).sort()
    await new Promise((resolve) => setTimeout(resolve, MINUTES * 60_000))
    assert.deepEqual((await world.sessionsOf('berlin')).sort(), sessions)
    assert.equal(agent.part.log().filter(({ msg }) => msg === 'not connected').length, 0)
    client.socket.end('y')
    assert.equal(String((await client.closed).bytes), 'xy')
    nginx.stop()
  })
})
