import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { generate } from 'selfsigned'
import { dial, listenTarget, type TcpEnd } from '../support/tcp-kit.ts'
import { type LossyPath, offerAt, startLossyPath } from './lossy-path.ts'
import { startWorld } from './world.ts'

/**
 * F30: node test/faults/lossy-bulk.ts [SECONDS] (Linux, root, python3, openssl; a minute)
 * A download and a ping beside it over a path of 80 ms round trip that loses 1 % of all packets, against one plain TLS
 * connection over the same path in the same run.
 */

const SECONDS = Number(process.argv[2] ?? 20)
const SHARE = 0.7
const LATE_MS = 5_000
const PING_EVERY_MS = 200
const MIB = 1024 * 1024

/** MiB a second that `socket` brings, once it brings anything. */
async function rateOf(socket: net.Socket): Promise<number> {
  let length = 0
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => {
    length += chunk.length
  })
  await once(socket, 'data')
  length = 0
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1_000))
  return length / MIB / SECONDS
}

/** One TLS connection from the far end that sends what it can. */
async function plainRate(path: LossyPath): Promise<number> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'plain' }], { keyType: 'ec' })
  const server = tls.createServer({ key, cert, minVersion: 'TLSv1.3' })
  server.listen(0, path.address)
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const [program = '', ...rest] = path.far
  const command = `openssl s_client -quiet -connect ${path.address}:${port} </dev/zero`
  const child = spawn(program, [...rest, 'sh', '-c', command], { stdio: 'ignore', detached: true })
  const [socket] = (await once(server, 'secureConnection')) as [tls.TLSSocket]
  const rate = await rateOf(socket)
  process.kill(-(child.pid ?? 0), 'SIGKILL')
  socket.destroy()
  server.close()
  return rate
}

/** Round trips in ms of a byte that is sent every PING_EVERY_MS and comes back. */
async function pings(client: TcpEnd, until: Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  let isOver = false
  let isLost = false
  until.then(
    () => {
      isOver = true
    },
    () => {
      isLost = true
    },
  )
  for (let count = 1; !isOver && !isLost; count++) {
    const began = performance.now()
    client.socket.write('x')
    while (!isLost && client.received().length < count) await new Promise((resolve) => setTimeout(resolve, 1))
    times.push(performance.now() - began)
    await new Promise((resolve) => setTimeout(resolve, PING_EVERY_MS))
  }
  return times.sort((a, b) => a - b)
}

describe('F30: a download and a ping over a path with loss', () => {
  it('F30: the download keeps 70 % of a plain TLS connection, and no ping is late by 5 s', async () => {
    await using path = await startLossyPath({ delayMs: 40, jitterMs: 0, lossPercent: 1 })
    await using endless = await listenTarget((socket) => {
      const more = () => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
      }
      socket.on('drain', more)
      more()
    })
    await using echo = await listenTarget((socket) => socket.pipe(socket))
    using _endless = await offerAt(path.cleanAddress, endless.port)
    using _echo = await offerAt(path.cleanAddress, echo.port)
    await using world = await startWorld({ listen: `${path.address}:0` })
    await world.startAgent({
      prefix: path.far,
      targets: {
        endless: `${path.cleanAddress}:${endless.port}`,
        echo: `${path.cleanAddress}:${echo.port}`,
      },
    })
    const [bulkPort, echoPort] = [await world.publish('berlin/endless'), await world.publish('berlin/echo')]
    const plain = await plainRate(path)
    const client = await dial(echoPort)
    const bulk = net.connect(bulkPort, '127.0.0.1')
    const rate = rateOf(bulk)
    const [tunnel, times] = await Promise.all([rate, pings(client, rate)])
    const quantile = (share: number) => Math.round(times[Math.floor((times.length - 1) * share)] ?? 0)
    process.stdout.write(
      `    plain TLS ${plain.toFixed(2)} MiB/s, tunnel ${tunnel.toFixed(2)} MiB/s; ping p50 ${quantile(0.5)} ms, ` +
        `p99 ${quantile(0.99)} ms, worst ${quantile(1)} ms\n`,
    )
    bulk.destroy()
    client.socket.destroy()
    assert.ok(tunnel >= SHARE * plain)
    assert.ok(quantile(1) < LATE_MS + 80)
  })
})
