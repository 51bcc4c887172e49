import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { finished } from 'node:stream/promises'
import { within } from '../support/deadline.ts'
import { listenTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** Repeated in what is sent. Its length is prime, so that nothing lost or doubled goes unseen. */
const BLOCK = randomBytes(1_000_003)
const PIECE_BYTES = 65_536
const HEAD_BYTES = 8
const DIGEST_BYTES = 32

/** How long a transfer may take, in ms: the machine does other things too. */
const TRANSFER_MS = 120_000

/** Sends `length` bytes of the block from its begin on, no faster than they are taken. */
async function send(to: Duplex, length: number): Promise<void> {
  for (let sent = 0; sent < length; ) {
    const from = sent % BLOCK.length
    const piece = BLOCK.subarray(from, Math.min(from + PIECE_BYTES, from + length - sent))
    sent += piece.length
    if (!to.write(piece)) await drained(to)
  }
}

function drained(to: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(to.errored ?? new Error('closed before all was written'))
    to.once('close', onClose)
    to.once('drain', () => {
      to.off('close', onClose)
      resolve()
    })
  })
}

/** The digest of the first `length` bytes of the repeated block. */
function digestOf(length: number): Buffer {
  const hash = createHash('sha256')
  for (let done = 0; done < length; done += BLOCK.length) {
    hash.update(BLOCK.subarray(0, Math.min(BLOCK.length, length - done)))
  }
  return hash.digest()
}

/**
 * A target that sends as many bytes as the first eight of a connection ask for, while it reads; at the end of what came it
 * sends the digest of that and ends.
 */
export function transferTarget(): Promise<TcpTarget> {
  return listenTarget((socket) => {
    const hash = createHash('sha256')
    let head = Buffer.alloc(0)
    let sending: Promise<void> | undefined
    socket.on('data', (chunk: Buffer) => {
      if (sending !== undefined) {
        hash.update(chunk)
        return
      }
      head = Buffer.concat([head, chunk])
      if (head.length < HEAD_BYTES) return
      hash.update(head.subarray(HEAD_BYTES))
      sending = send(socket, head.readDoubleBE(0))
    })
    socket.on('end', () => {
      sending?.then(
        () => socket.end(hash.digest()),
        () => undefined,
      )
    })
  })
}

/** Sends `up` bytes to a transfer target while it reads `down` bytes, and checks both by hash. */
export async function transfer(socket: Duplex, up: number, down: number): Promise<void> {
  const hash = createHash('sha256')
  let tail = Buffer.alloc(0)
  let length = 0
  socket.on('data', (chunk: Buffer) => {
    length += chunk.length
    // The last bytes are the digest of the other direction.
    tail = Buffer.concat([tail, chunk])
    const passed = tail.subarray(0, Math.max(0, tail.length - DIGEST_BYTES))
    hash.update(passed)
    tail = Buffer.from(tail.subarray(passed.length))
  })
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeDoubleBE(down)
  const done = within(finished(socket), `a transfer (${length} bytes came)`, TRANSFER_MS)
  socket.write(head)
  const sent = send(socket, up).then(() => socket.end())
  await Promise.all([sent, done])
  assert.equal(length, down + DIGEST_BYTES)
  assert.deepEqual(hash.digest(), digestOf(down), 'what came down')
  assert.deepEqual(tail, digestOf(up), 'what went up')
}

/** A way to the relay whose connections the test breaks. */
export interface CuttingProxy extends AsyncDisposable {
  readonly port: number
  /** How many connections there were. */
  readonly accepted: number
  /** Breaks every connection with a reset, whatever is on its way. */
  cut(): void
  /** New connections are broken off until `open`. */
  close(): void
  open(): void
}

/** Forwards from a free port of the loopback to `port`. */
export async function startCuttingProxy(port: number): Promise<CuttingProxy> {
  const sockets = new Set<net.Socket>()
  let accepted = 0
  let isOpen = true
  const keep = (socket: net.Socket, other: net.Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      sockets.delete(socket)
      other.destroy()
    })
    socket.pipe(other)
  }
  const server = net.createServer((near) => {
    accepted++
    if (!isOpen) {
      near.on('error', () => undefined).resetAndDestroy()
      return
    }
    const far = net.connect(port, '127.0.0.1')
    keep(near, far)
    keep(far, near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of [...sockets]) socket.resetAndDestroy()
  }
  return {
    port: (server.address() as net.AddressInfo).port,
    get accepted() {
      return accepted
    },
    cut,
    close() {
      isOpen = false
      cut()
    },
    open() {
      isOpen = true
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      cut()
      await closed
    },
  }
}
