import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { realEffects } from '../shared/effects.ts'
import { selfSignedIdentity } from '../shared/identity/self-signed.ts'

/**
 * What an idle connection with mutual TLS 1.3 costs a Node server that does nothing else with it: no session of ours can
 * cost less. Alone, with `ulimit -n 20000`: node --expose-gc bench/idle-tls.ts [CONNECTIONS] (4,000 by default)
 */

interface Order {
  readonly port: number
  readonly count: number
  readonly cert: string
  readonly key: string
}

/** How many connect at a time. */
const AT_ONCE = 20

/** Time for what was freed to be given back, in ms. */
const SETTLE_MS = 3_000

async function connectAll({ port, count, cert, key }: Order): Promise<void> {
  for (let open = 0; open < count; open += AT_ONCE) {
    const sockets = Array.from({ length: AT_ONCE }, async () => {
      const options = { port, host: '127.0.0.1', servername: 'sallyport', ca: cert, cert, key }
      const socket = tls.connect({ ...options, minVersion: 'TLSv1.3' })
      await once(socket, 'secureConnect')
      socket.write('a')
      await once(socket, 'data')
    })
    await Promise.all(sockets)
  }
  process.send?.('open')
}

async function measure(count: number): Promise<void> {
  const { certificate: cert, key: secret } = await selfSignedIdentity(realEffects)
  const key = secret.reveal()
  const held: tls.TLSSocket[] = []
  const server = tls.createServer({ cert, key, ca: cert, requestCert: true, minVersion: 'TLSv1.3' })
  server.on('secureConnection', (socket) => {
    held.push(socket)
    socket.on('data', () => socket.write('a'))
    socket.on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const before = process.memoryUsage.rss()
  const child = fork(fileURLToPath(import.meta.url), [], { execArgv: [] })
  const { port } = server.address() as AddressInfo
  child.send({ port, count, cert, key } satisfies Order)
  await once(child, 'message')
  globalThis.gc?.()
  await sleep(SETTLE_MS)
  const each = (process.memoryUsage.rss() - before) / held.length / 1024
  process.stdout.write(`${held.length} connections: ${each.toFixed(1)} KiB each\n`)
  child.kill()
  server.close()
  for (const socket of held) socket.destroy()
}

if (process.send === undefined) await measure(Number(process.argv[2] ?? 4_000))
else await connectAll(((await once(process, 'message')) as [Order])[0])
