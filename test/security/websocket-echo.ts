import http from 'node:http'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import WebSocket, { WebSocketServer } from 'ws'
import { realEffects } from '../../shared/effects.ts'
import type { TunnelError } from '../../shared/errors.ts'
import type { FrameSink } from '../../shared/mux/link.ts'
import type { Session } from '../../shared/mux/session.ts'
import { SessionSocket } from '../../shared/tunnel/session-socket.ts'
import { takeOverAfterHandshake } from '../../shared/tunnel/upgraded.ts'
import { SUBPROTOCOL } from '../../shared/version.ts'

export type EchoMask = 'zero' | 'random'

export interface EchoOptions {
  readonly isClient: boolean
  readonly mask?: EchoMask
  readonly onClosed?: (error: TunnelError) => void
}

/**
 * Sends each whole message back, one message each, by the tunnel's own reading and writing of RFC 6455 frames: a real
 * SessionSocket over `socket`, with a session that keeps messages where the real one reads frames of the mux.
 */
export function echoMessages(socket: net.Socket, options: EchoOptions): void {
  const coming: Uint8Array[] = []
  const going: Uint8Array[] = []
  const session = {
    deadline: Number.POSITIVE_INFINITY,
    link: { controlBytes: 0, probe() {} },
    get hasWork() {
      return going.length > 0
    },
    receive(bytes: Uint8Array) {
      coming.push(new Uint8Array(bytes))
    },
    endMessage() {
      going.push(Buffer.concat(coming.splice(0)))
      link.wake()
    },
    transmit(_room: number, _now: number, sink: FrameSink) {
      const message = going.shift()
      if (message !== undefined) sink.control(message)
    },
    tick() {},
    close() {},
  }
  const link = new SessionSocket({
    socket,
    // All of it that a SessionSocket uses.
    session: session as unknown as Session,
    isClient: options.isClient,
    mask: options.mask ?? 'zero',
    effects: realEffects,
    onClosed: options.onClosed ?? (() => undefined),
  })
}

export interface EchoServer extends AsyncDisposable {
  readonly port: number
  /** Why each connection ended, in order. */
  readonly ends: readonly TunnelError[]
}

/** A WebSocket server that upgrades as the relay does and echoes. */
export async function startEchoServer(): Promise<EchoServer> {
  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: () => SUBPROTOCOL,
  })
  const ends: TunnelError[] = []
  const sockets = new Set<net.Socket>()
  const server = http.createServer()
  server.on('upgrade', (request: http.IncomingMessage, _socket: Duplex, head: Buffer) => {
    const { socket } = request
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const release = takeOverAfterHandshake(socket)
    webSockets.handleUpgrade(request, socket, head, () => {
      release()
      echoMessages(socket, { isClient: false, onClosed: (error) => ends.push(error) })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    ends,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Comes to a WebSocket server as agent and connector do, and echoes what it sends. Resolves when that is over. */
export function runEchoClient(url: string, mask: EchoMask): Promise<TunnelError> {
  const { hostname, port } = new URL(url)
  const closed = Promise.withResolvers<TunnelError>()
  const socket = net.connect({ host: hostname, port: Number(port) })
  const webSocket = new WebSocket(url, [], { createConnection: () => socket, perMessageDeflate: false })
  let release = () => {}
  webSocket.on('error', closed.reject)
  webSocket.on('upgrade', () => {
    release = takeOverAfterHandshake(socket)
  })
  webSocket.on('open', () => {
    socket.pause()
    release()
    echoMessages(socket, { isClient: true, mask, onClosed: closed.resolve })
  })
  return closed.promise
}
