import { mkdtemp, rm } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { createAuthority } from '../../relay/authority/certificate-authority.ts'
import { ensureServerCertificate } from '../../relay/authority/server-certificate.ts'
import { realEffects } from '../../shared/effects.ts'

/** Something that ends TLS on the way, as an inspector or a load balancer does. */
export interface TlsBox extends AsyncDisposable {
  readonly port: number
  /** PEM of the CA that signed what it shows. */
  readonly ca: string
}

export interface TlsBoxOptions {
  readonly onRequest?: RequestListener
  /** `headers` are those of the request; the socket is the box's to answer on. */
  readonly onUpgrade?: (socket: Duplex, headers: Readonly<Record<string, unknown>>) => void
}

/** Starts a box on a free port of the loopback. */
export async function startTlsBox({
  onRequest = (_request, response) => response.end(),
  onUpgrade,
}: TlsBoxOptions): Promise<TlsBox> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-box-'))
  const authority = await createAuthority(directory, realEffects)
  const certificate = await ensureServerCertificate(directory, authority, [], realEffects)
  const sockets = new Set<Duplex>()
  const server = https.createServer({ key: certificate.key.reveal(), cert: certificate.chain }, onRequest)
  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  })
  if (onUpgrade !== undefined) {
    server.on('upgrade', (request, socket) => onUpgrade(socket, request.headers))
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    ca: authority.certificate.toString(),
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** A way that forgets connections on which nothing moved for a while. */
export interface IdleCutter extends AsyncDisposable {
  readonly port: number
  /** Connections so far. */
  readonly connections: number
}

/**
 * Forwards from a free port of the loopback to `port`, and cuts each connection after `idleMs` of silence in both directions:
 * with a reset of both ends, or without a word, so that whatever is sent later gets lost.
 */
export async function startIdleCutter(
  port: number,
  idleMs: number,
  how: 'reset' | 'silent',
): Promise<IdleCutter> {
  const sockets = new Set<net.Socket>()
  let connections = 0
  const server = net.createServer((near) => {
    connections++
    const far = net.connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => sockets.delete(socket))
    }
    let timer: NodeJS.Timeout
    const cut = () => {
      for (const socket of [near, far]) {
        if (how === 'reset') socket.resetAndDestroy()
        else socket.removeAllListeners('data').on('data', () => undefined)
      }
    }
    const stir = () => {
      clearTimeout(timer)
      timer = setTimeout(cut, idleMs)
    }
    const carry = (from: net.Socket, to: net.Socket) => {
      from.on('data', (chunk) => {
        stir()
        to.write(chunk)
      })
      from.once('close', () => {
        clearTimeout(timer)
        to.destroy()
      })
    }
    carry(near, far)
    carry(far, near)
    stir()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    get connections() {
      return connections
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
