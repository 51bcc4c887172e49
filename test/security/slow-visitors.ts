import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import { readCredentials, requireCertificate } from '../../shared/identity/credentials.ts'
import { SUBPROTOCOL } from '../../shared/version.ts'
import { footprint } from '../faults/part.ts'
import { startWorld } from '../faults/world.ts'
import { helloFrame } from '../support/hostile-peer.ts'
import { dial, echoTarget } from '../support/tcp-kit.ts'

/**
 * S18: node test/security/slow-visitors.ts [CONNECTIONS] (2,000 by default; Linux; a minute)
 * Connections from many addresses that are slow on purpose, in each state in which one can be; how soon they are cut, and how
 * an agent's stream fares meanwhile. One address may have 64 of them at a time (test/security/front-door.test.ts).
 */

const CONNECTIONS = Number(process.argv[2] ?? 2_000)
const PER_ADDRESS = 50
const BYTE_MS = 1_000
/** What a deadline may be late by, in ms: the check of heads runs every 2 s, and this machine is busy with the others. */
const LATE_MS = 4_000
const TIMES = 2

interface Visitor {
  /** When it is to be cut at the latest, in ms. */
  readonly cutMs: number
  visit(socket: net.Socket, secure: () => Promise<tls.TLSSocket>): Promise<net.Socket>
}

const HALF_HELLO = Buffer.from('160301020001000001fc', 'hex')

function upgradeText(): string {
  return [
    'GET /v1/connector HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n',
    `Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\nSec-WebSocket-Version: 13\r\n`,
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
  ].join('')
}

/** Sends `bytes`, one each second. */
function trickle(socket: net.Socket, bytes: Uint8Array): void {
  let at = 0
  const timer = setInterval(() => {
    if (socket.destroyed || at >= bytes.length) clearInterval(timer)
    else socket.write(bytes.subarray(at, ++at))
  }, BYTE_MS)
}

/** A HELLO as one WebSocket message under a mask of zeros. */
function helloMessage(): Buffer {
  const hello = helloFrame()
  return Buffer.concat([
    Buffer.from([0x82, 0xfe, hello.length >>> 8, hello.length & 0xff, 0, 0, 0, 0]),
    hello,
  ])
}

const VISITORS: Record<string, Visitor> = {
  silence: { cutMs: 10_000, visit: async (socket) => socket },
  'a ClientHello byte by byte': {
    cutMs: 10_000,
    async visit(socket) {
      trickle(socket, HALF_HELLO)
      return socket
    },
  },
  'a head byte by byte': {
    cutMs: 10_000,
    async visit(_socket, secure) {
      const secured = await secure()
      trickle(secured, Buffer.from('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: y'))
      return secured
    },
  },
  'a body byte by byte': {
    cutMs: 10_000,
    async visit(_socket, secure) {
      const secured = await secure()
      secured.write('POST /v1/enroll HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n')
      trickle(secured, Buffer.alloc(100, '{'))
      return secured
    },
  },
  'an upgrade and no HELLO': {
    cutMs: 5_000,
    async visit(_socket, secure) {
      const secured = await secure()
      secured.write(upgradeText())
      return secured
    },
  },
  'a HELLO byte by byte': {
    cutMs: 5_000,
    async visit(_socket, secure) {
      const secured = await secure()
      secured.write(upgradeText())
      trickle(secured, helloMessage())
      return secured
    },
  },
}

/** Round trips of a byte in ms while `until` is not over, sorted. */
async function echoTimes(port: number, until: Promise<unknown>): Promise<number[]> {
  const client = await dial(port)
  const times: number[] = []
  let isOver = false
  void until.then(() => {
    isOver = true
  })
  for (let count = 1; !isOver; count++) {
    const began = performance.now()
    client.socket.write('x')
    await client.has(count)
    times.push(performance.now() - began)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  client.socket.destroy()
  return times.sort((a, b) => a - b)
}

const quantile = (sorted: readonly number[], share: number) =>
  sorted[Math.floor((sorted.length - 1) * share)] ?? 0

describe('S18: visitors who are slow on purpose', () => {
  it(`S18: ${CONNECTIONS} of them are cut in time, and an agent's stream hardly notices`, async () => {
    await using target = await echoTarget()
    await using world = await startWorld({ relayFlags: ['--log-level', 'warn'] })
    await world.startAgent({ targets: { echo: target.port } })
    const port = await world.publish('berlin/echo')
    const {
      ca,
      certificate: cert,
      key,
    } = requireCertificate(await readCredentials(await world.credentials('slow', 'berlin/echo')))
    const idle = await echoTimes(port, new Promise((resolve) => setTimeout(resolve, 5_000)))
    const before = footprint(world.relay.pid).rssMib

    const lives = new Map<string, number[]>(Object.keys(VISITORS).map((name) => [name, []]))
    const visit = async (number: number) => {
      const names = Object.keys(VISITORS)
      const name = names[number % names.length] ?? ''
      const from = Math.floor(number / PER_ADDRESS)
      const localAddress = `127.3.${from >>> 7}.${1 + (from & 127)}`
      const socket = net.connect({ port: world.port, host: '127.0.0.1', localAddress })
      socket.on('error', () => undefined)
      const began = performance.now()
      const secure = async () => {
        const secured = tls.connect({ socket, ca, cert, key: key.reveal(), host: '127.0.0.1' })
        secured.on('error', () => undefined)
        await once(secured, 'secureConnect')
        return secured
      }
      const visitor = VISITORS[name]
      if (visitor === undefined) throw new Error(name)
      const visited = await visitor.visit(socket, secure).catch(() => socket)
      visited.resume()
      // A reset cuts as well as an end.
      await Promise.race([once(visited, 'end'), once(visited, 'close'), once(socket, 'close')]).catch(
        () => undefined,
      )
      lives.get(name)?.push(performance.now() - began)
      socket.destroy()
    }
    const all: Promise<void>[] = []
    const coming = (async () => {
      for (let number = 0; number < CONNECTIONS; number++) {
        all.push(visit(number))
        if (number % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 50))
      }
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    })()
    await coming
    const busy = await echoTimes(port, Promise.all(all))
    const after = footprint(world.relay.pid).rssMib
    for (const [name, times] of lives) {
      times.sort((a, b) => a - b)
      process.stdout.write(
        `    ${name}: ${times.length}, cut after ${quantile(times, 0).toFixed(0)} to ${quantile(times, 1).toFixed(0)} ms\n`,
      )
    }
    process.stdout.write(
      `    echo p99 ${quantile(idle, 0.99).toFixed(2)} -> ${quantile(busy, 0.99).toFixed(2)} ms; ` +
        `relay ${before.toFixed(0)} -> ${after.toFixed(0)} MiB\n`,
    )
    for (const [name, times] of lives) {
      assert.ok(quantile(times, 1) <= (VISITORS[name]?.cutMs ?? 0) + LATE_MS, name)
    }
    assert.ok(quantile(busy, 0.99) < TIMES * Math.max(2, quantile(idle, 0.99)))
  })
})
