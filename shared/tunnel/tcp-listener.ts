import net from 'node:net'
import { isTunnelError, TunnelError } from '../errors.ts'
import type { Stream } from '../mux/stream.ts'
import type { StreamHandler } from '../mux/stream-handler.ts'
import { readIntoBlocks } from './accepted.ts'
import { Splice } from './splice.ts'

/** Most connections of one listener at a time. */
const MAX_CONNECTIONS = 4_096

export interface TcpListenerOptions {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** Opens the stream for a connection from `sourceAddress`. @throws {TunnelError} where it cannot */
  readonly open: (handler: StreamHandler, sourceAddress: string) => Stream
  /** Told how each connection ended; null where it ended well. */
  readonly onClosed: (error: TunnelError | null) => void
}

/**
 * Listens for TCP connections and opens a stream for each: nothing is read before the stream exists, and a connection that
 * cannot be served is reset, never closed as if it had been.
 * @throws {TunnelError} LISTEN
 */
export async function listenTcp(options: TcpListenerOptions): Promise<net.Server> {
  const server = net.createServer(
    { pauseOnConnect: true, noDelay: true, allowHalfOpen: true },
    (accepted) => {
      serve(options, accepted)
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, options.host, options.port)
  return server
}

function serve({ open, onClosed }: TcpListenerOptions, accepted: net.Socket): void {
  const splice = new Splice({ brokenCode: 'CANCELLED', onClosed })
  try {
    splice.stream = open(splice, accepted.remoteAddress ?? '')
  } catch (error) {
    if (!isTunnelError(error)) throw error
    accepted.resetAndDestroy()
    onClosed(error)
    return
  }
  splice.attach(readIntoBlocks(accepted, splice.reader))
}

/**
 * Listens, or says why not.
 * @throws {TunnelError} LISTEN with the address and the system's reason
 */
export function listen(server: net.Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      reject(
        new TunnelError('LISTEN', `${formatListening(host, port)} (${error.code ?? error.message})`, {
          cause: error,
        }),
      )
    }
    server.once('error', onError)
    server.listen({ host, port }, () => {
      server.removeListener('error', onError)
      resolve()
    })
  })
}

/** `HOST:PORT`, IPv6 in brackets. */
export function formatListening(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
