import { createCipheriv, createHash, type Hash } from 'node:crypto'
import type net from 'node:net'
import { listenTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** Streams each of whose bytes say which stream and which direction they belong to, so that nothing that is mixed up is right. */

const HEAD_BYTES = 12
const PIECE_BYTES = 65_536
const ZEROS = Buffer.alloc(PIECE_BYTES)

/** The bytes that `seed` stands for, piece by piece. */
function* contentOf(seed: number, length: number): Generator<Buffer> {
  const key = createHash('sha256').update(`content ${seed}`).digest()
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  for (let left = length; left > 0; left -= PIECE_BYTES) {
    yield cipher.update(left < PIECE_BYTES ? ZEROS.subarray(0, left) : ZEROS)
  }
}

function digestOf(seed: number, length: number): string {
  const hash = createHash('sha256')
  for (const piece of contentOf(seed, length)) hash.update(piece)
  return hash.digest('hex')
}

/** Resolves when more may be written, or nothing may any more. */
function drained(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done).off('close', done)
      resolve()
    }
    socket.once('drain', done).once('close', done)
  })
}

/** Sends what `seed` stands for and ends, no faster than it is taken. */
async function send(socket: net.Socket, seed: number, length: number): Promise<void> {
  for (const piece of contentOf(seed, length)) {
    if (!socket.write(piece)) await drained(socket)
    if (socket.destroyed) return
  }
  socket.end()
}

/** A service that sends `down` bytes of its own while it reads `up` bytes; it ends by a reset where they are not the right ones. */
export function contentTarget(): Promise<TcpTarget> {
  return listenTarget((socket) => {
    let head = Buffer.alloc(0)
    let hash: Hash | undefined
    let expected = ''
    socket.on('data', (chunk: Buffer) => {
      if (hash !== undefined) {
        hash.update(chunk)
        return
      }
      head = Buffer.concat([head, chunk])
      if (head.length < HEAD_BYTES) return
      const [id, up, down] = [0, 4, 8].map((at) => head.readUInt32BE(at)) as [number, number, number]
      hash = createHash('sha256').update(head.subarray(HEAD_BYTES))
      expected = digestOf(2 * id, up)
      send(socket, 2 * id + 1, down).catch(() => undefined)
    })
    socket.on('end', () => {
      if (hash?.digest('hex') !== expected) socket.resetAndDestroy()
    })
  })
}

/** Sends `up` bytes and reads `down` bytes as stream `id`. @throws {Error} where what came is not what belongs to it */
export async function exchangeContent(
  socket: net.Socket,
  { id, up, down }: { id: number; up: number; down: number },
): Promise<void> {
  const head = Buffer.alloc(HEAD_BYTES)
  for (const [index, number] of [id, up, down].entries()) head.writeUInt32BE(number, 4 * index)
  const hash = createHash('sha256')
  let length = 0
  const ended = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      length += chunk.length
      hash.update(chunk)
    })
    socket.on('end', resolve)
    socket.on('error', reject)
  })
  socket.write(head)
  await Promise.all([send(socket, 2 * id, up), ended])
  if (length !== down || hash.digest('hex') !== digestOf(2 * id + 1, down)) {
    throw new Error(`stream ${id}: ${length} bytes of ${down}, or not the right ones`)
  }
}
