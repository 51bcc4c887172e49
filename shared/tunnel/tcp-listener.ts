import net from 'node:net'
import { isTunnelError, TunnelError } from '../errors.ts'
import type { Stream } from '../mux/stream.ts'
import type { StreamHandler } from '../mux/stream-handler.ts'
import { sourceAddress } from './source-address.ts'
import { Splice } from './splice.ts'

/** Most connections of one listener at a time. */
const MAX_CONNECTIONS = 4_096

const NOTHING = new Uint8Array(0)

/** Says once whose connection an accepted socket is, an address in canonical form, with the bytes that were read already. */
export type Arrive = (socket: net.Socket, arrived: (source: string, first: Uint8Array) => void) => void

const direct: Arrive = (socket, arrived) => arrived(sourceAddress(socket), NOTHING)

export interface TcpListenerOptions {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** Opens the stream for a connection from `source`. @throws {TunnelError} where it cannot */
  readonly open: (handler: StreamHandler, source: string) => Stream
  /**
   * Finds out whose connection it is before the stream exists, and what it may read for that; else it is that of its other
   * end. A connection that does not get so far it closes itself.
   */
  readonly arrive?: Arrive
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

function serve(options: TcpListenerOptions, accepted: net.Socket): void {
  const { arrive = direct } = options
  arrive(accepted, (source, first) => begin(options, accepted, { source, first }))
}

function begin(
  { open, onClosed }: TcpListenerOptions,
  accepted: net.Socket,
  { source, first }: { readonly source: string; readonly first: Uint8Array },
): void {
  const splice = new Splice({ brokenCode: 'CANCELLED', onClosed })
  let stream: Stream
  try {
    stream = open(splice, source)
  } catch (error) {
    if (!isTunnelError(error)) throw error
    accepted.resetAndDestroy()
    onClosed(error)
    return
  }
  splice.stream = stream
  if (first.length > 0) stream.write(first)
  splice.reader.attach(accepted)
  splice.attach(accepted)
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
