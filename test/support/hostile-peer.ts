import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import WebSocket from 'ws'
import { encodeHello } from '../../shared/handshake/hello.ts'
import { encodeOpenMeta } from '../../shared/handshake/open.ts'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { DATA_HEAD_BYTES, encodeControl, writeDataHead } from '../../shared/mux/encode.ts'
import { type ControlFrame, INITIAL_CREDIT } from '../../shared/mux/frame.ts'
import { FrameReader } from '../../shared/mux/frame-reader.ts'
import { SUBPROTOCOL } from '../../shared/version.ts'
import { within } from './deadline.ts'

/** A connector with good credentials and bad manners: it sends what the test wants. */
export interface HostilePeer {
  readonly socket: WebSocket
  /** The frames of the relay that are not DATA, so far. */
  readonly frames: readonly ControlFrame[]
  /** Sends one WebSocket message of these frames. */
  send(...frames: Uint8Array[]): void
  /** Resolves when stream `id` has brought so many bytes. */
  untilData(id: number, length: number): Promise<unknown>
  /** The first frame of that kind. */
  until(type: ControlFrame['type'], id?: number): Promise<ControlFrame>
  /** The code with which the relay closed; 1006 where it only broke the connection. */
  readonly closed: Promise<number>
}

/** Comes in as a connector; with `isGreeted` (the default) it has said HELLO and heard HELLO_OK. */
export async function connectHostile(
  credentials: ConnectorCredentials,
  isGreeted = true,
): Promise<HostilePeer> {
  const { addresses, ca, certificate, key, serverName } = credentials
  const socket = new WebSocket(`wss://${serverName}:${addresses[0]?.port}/v1/connector`, [SUBPROTOCOL], {
    ca,
    cert: certificate,
    key: key.reveal(),
    perMessageDeflate: false,
  })
  const frames: ControlFrame[] = []
  const waiting = new Set<() => void>()
  const lengths = new Map<number, number>()
  const reader = new FrameReader({
    data(id, _flags, _offset, bytes) {
      lengths.set(id, (lengths.get(id) ?? 0) + bytes.length)
      for (const look of [...waiting]) look()
    },
    control(frame) {
      frames.push(frame)
      for (const look of [...waiting]) look()
    },
  })
  socket.on('message', (message) => reader.push(message as Buffer))
  socket.on('error', () => undefined)
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  await within(once(socket, 'open'), 'the upgrade')
  const peer: HostilePeer = {
    socket,
    frames,
    send: (...parts) => socket.send(Buffer.concat(parts)),
    untilData: (id, length) =>
      within(
        whenever(waiting, () => (lengths.get(id) ?? 0) >= length || undefined),
        `${length} bytes on ${id}`,
      ),
    until: (type, id) =>
      within(
        whenever(waiting, () =>
          frames.find((one) => one.type === type && (id === undefined || one.id === id)),
        ),
        `a ${type}`,
      ),
    get closed() {
      return within(closed, 'the end of the connection')
    },
  }
  if (!isGreeted) return peer
  peer.send(helloFrame())
  await peer.until('HELLO_OK')
  return peer
}

/** The first answer of `look`, which is asked again after each frame. */
function whenever<T>(waiting: Set<() => void>, look: () => T | undefined): Promise<T> {
  return new Promise((resolve) => {
    const ask = () => {
      const answer = look()
      if (answer === undefined) return
      waiting.delete(ask)
      resolve(answer)
    }
    waiting.add(ask)
    ask()
  })
}

export function helloFrame(): Uint8Array {
  return encodeControl({ type: 'HELLO', id: 0, meta: encodeHello({ instance: randomBytes(16) }) })
}

export function openFrame(id: number, resource: string, maxOffset = 4 * INITIAL_CREDIT): Uint8Array {
  return encodeControl({
    type: 'OPEN',
    id,
    flags: 0,
    maxOffset,
    priority: 0,
    hops: 0,
    meta: encodeOpenMeta({ resource, protocol: 'tcp' }),
    earlyData: new Uint8Array(0),
  })
}

export function dataFrame(id: number, offset: number, bytes: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(DATA_HEAD_BYTES + bytes.length)
  writeDataHead(frame, 0, { id, flags: 0, offset, length: bytes.length })
  frame.set(bytes, DATA_HEAD_BYTES)
  return frame
}
