import net from 'node:net'
import { within } from '../support/deadline.ts'
import { startKit } from '../support/relay-kit.ts'
import { listenTarget } from '../support/tcp-kit.ts'

/**
 * F29: node test/soak/bulk-memory.ts [GiB]: sends so many GiB (10 by default) down and up, by the relay's listener and by a
 * connector, with relay, agent, connector, service and client in this one process, and prints its memory each second.
 * Exit status 1 where it is larger at the end than after the first GiB by more than TOLERANCE_MIB.
 */

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const TOLERANCE_MIB = 64
const BLOCK = Buffer.alloc(256 * 1024, 'Sallyport. ')

/** Sends `length` bytes and ends. */
function send(socket: net.Socket, length: number): void {
  let left = length
  const more = () => {
    while (left > 0) {
      const block = left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK
      left -= block.length
      if (!socket.write(block)) return
    }
    socket.off('drain', more).end()
  }
  socket.on('drain', more)
  more()
}

/** Reads to the end. @returns how many bytes there were */
function count(socket: net.Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    let length = 0
    socket.on('data', (chunk: Buffer) => {
      length += chunk.length
    })
    socket.on('end', () => resolve(length))
    socket.on('error', reject)
  })
}

async function transfer(port: number, up: number, down: number): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const received = count(socket)
  // The service sends back as many bytes as the first eight say, once it has read all others.
  const head = Buffer.alloc(8)
  head.writeDoubleBE(down)
  socket.write(head)
  send(socket, up)
  const length = await within(received, 'the transfer', 3_600_000)
  if (length !== down + 8) throw new Error(`${length} bytes of ${down + 8}`)
}

function serve(socket: net.Socket): void {
  let length = 0
  let wanted = 0
  socket.on('data', (chunk: Buffer) => {
    if (length === 0) wanted = chunk.readDoubleBE(0)
    length += chunk.length
  })
  socket.on('end', () => {
    const head = Buffer.alloc(8)
    head.writeDoubleBE(length)
    socket.write(head)
    send(socket, wanted)
  })
}

function rssMib(): number {
  return Math.round(process.memoryUsage.rss() / MIB)
}

const gib = Number(process.argv[2] ?? 10)
if (!(gib > 0 && gib <= 1_000)) throw new Error('how many GiB? 1 to 1000')
await using kit = await startKit()
await using target = await listenTarget(serve)
await kit.startAgent({ rules: { bulk: target.port } })
const connector = await kit.connect(await kit.credentials('soak', 'berlin/bulk'))
const roads = {
  listener: await kit.publish('berlin/bulk'),
  connector: (await kit.forward(connector, 'berlin/bulk')).port,
}
// The first GiB each way makes the process as large as it needs to be.
for (const port of Object.values(roads)) {
  await transfer(port, 0, GIB / 2)
  await transfer(port, GIB / 2, 0)
}
const settled = rssMib()
let highest = settled
const began = performance.now()
const print = (what: string) => {
  highest = Math.max(highest, rssMib())
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  const seconds = Math.round((performance.now() - began) / 1_000)
  const parts = [`${seconds} s`, what, `rss ${rssMib()}`, `buffers ${Math.round(arrayBuffers / MIB)}`]
  process.stdout.write(`${[...parts, `heap ${Math.round(heapUsed / MIB)} MiB`].join('  ')}\n`)
}
for (const [road, port] of Object.entries(roads)) {
  for (const [way, up, down] of [
    ['down', 0, gib * GIB],
    ['up', gib * GIB, 0],
  ] as const) {
    const timer = setInterval(() => print(`${road} ${way}`), 1_000)
    await transfer(port, up, down).finally(() => clearInterval(timer))
    print(`${road} ${way} done`)
  }
}
process.stdout.write(`settled at ${settled} MiB, highest ${highest} MiB, tolerance ${TOLERANCE_MIB} MiB\n`)
process.exitCode = highest - settled > TOLERANCE_MIB ? 1 : 0
