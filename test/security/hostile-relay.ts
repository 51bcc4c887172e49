import { once } from 'node:events'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { serverCertificateDirectory } from '../../relay/authority/authority.ts'
import { ensureServerCertificate } from '../../relay/authority/server-certificate.ts'
import { realEffects } from '../../shared/effects.ts'
import { encodeHelloOk, type HelloOk } from '../../shared/handshake/hello.ts'
import { encodeControl } from '../../shared/mux/encode.ts'
import type { ControlFrame } from '../../shared/mux/frame.ts'
import { FrameReader } from '../../shared/mux/frame-reader.ts'
import { SUBPROTOCOL } from '../../shared/version.ts'
import { within } from '../support/deadline.ts'
import type { RelayKit } from '../support/relay-kit.ts'

/** One connection of an agent to a relay that means it no good. */
export interface Guest {
  readonly socket: WebSocket
  /** Frames of the agent that are not DATA, so far. */
  readonly frames: readonly ControlFrame[]
  /** Bytes of DATA so far. */
  readonly dataBytes: number
  /** Sends one WebSocket message of these frames. */
  send(...frames: Uint8Array[]): void
  /** Says HELLO_OK, with whatever is wrong in it. */
  greet(wrong?: Partial<HelloOk>): void
  /** The first frame of that kind. */
  until(type: ControlFrame['type'], id?: number): Promise<ControlFrame>
  /** The code with which the agent closed; 1006 where it only broke the connection. */
  readonly closed: Promise<number>
}

export interface HostileRelay extends AsyncDisposable {
  /** How many connections were upgraded. */
  readonly upgrades: number
  /** How many were asked for. */
  readonly requests: number
}

export interface HostileManners {
  /** An agent has said HELLO. */
  readonly onGuest?: (guest: Guest) => void
  /** Answers an upgrade instead of taking it. */
  readonly onUpgrade?: (socket: Duplex) => void
}

/** Takes the place of the kit's relay, which is stopped: the same port, the same certificate, other manners. */
export async function startHostileRelay(kit: RelayKit, manners: HostileManners): Promise<HostileRelay> {
  const { authority } = kit.relay.authority
  const directory = serverCertificateDirectory(kit.directory)
  const { key, chain } = await ensureServerCertificate(directory, authority, ['127.0.0.1'], realEffects)
  const { port } = kit
  await kit.stopRelay()
  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: () => SUBPROTOCOL,
  })
  const server = https.createServer({ key: key.reveal(), cert: chain, minVersion: 'TLSv1.3' })
  let requests = 0
  let upgrades = 0
  server.on('upgrade', (request, socket, head) => {
    requests++
    socket.on('error', () => undefined)
    if (manners.onUpgrade !== undefined) {
      manners.onUpgrade(socket)
      return
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      upgrades++
      welcome(webSocket, manners)
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    get requests() {
      return requests
    },
    get upgrades() {
      return upgrades
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      for (const socket of webSockets.clients) socket.terminate()
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function welcome(socket: WebSocket, { onGuest }: HostileManners): void {
  const frames: ControlFrame[] = []
  const waiting = new Set<() => void>()
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  let dataBytes = 0
  const reader = new FrameReader({
    data(_id, _flags, _offset, bytes) {
      dataBytes += bytes.length
    },
    control(frame) {
      frames.push(frame)
      if (frame.type === 'HELLO') onGuest?.(guest)
      for (const look of [...waiting]) look()
    },
  })
  socket.on('message', (message) => reader.push(message as Buffer))
  socket.on('error', () => undefined)
  const guest: Guest = {
    socket,
    frames,
    get dataBytes() {
      return dataBytes
    },
    send: (...parts) => socket.send(Buffer.concat(parts)),
    greet: (wrong) => guest.send(encodeControl({ type: 'HELLO_OK', id: 0, meta: helloOk(wrong) })),
    until(type, id) {
      const found = new Promise<ControlFrame>((resolve) => {
        const look = () => {
          const frame = frames.find((one) => one.type === type && (id === undefined || one.id === id))
          if (frame === undefined) return
          waiting.delete(look)
          resolve(frame)
        }
        waiting.add(look)
        look()
      })
      return within(found, `a ${type}`)
    },
    get closed() {
      return within(closed, 'the end of the connection')
    },
  }
}

function helloOk(wrong: Partial<HelloOk> = {}): Uint8Array {
  return encodeHelloOk({
    version: 1,
    capabilities: [],
    session: realEffects.randomBytes(8).toString('hex'),
    generation: 1,
    pingIntervalMs: 20_000,
    clock: realEffects.date(),
    ...wrong,
  })
}
