import net from 'node:net'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { formatResourceName, type ResourceName } from '../../shared/identity/names.ts'
import type { Logger } from '../../shared/log.ts'
import { readIntoBlocks } from '../../shared/tunnel/accepted.ts'
import { Splice } from '../../shared/tunnel/splice.ts'
import type { Streams } from '../gateway/streams.ts'

export interface TcpListenerOptions {
  readonly tenantId: string
  readonly name: ResourceName
  readonly host: string
  readonly port: number
  readonly streams: Streams
  readonly log: Logger
}

/** Most connections of one listener at a time. */
const MAX_CONNECTIONS = 4_096

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
  const { tenantId, name, log } = options
  const resource = formatResourceName(name)
  const sourceAddress = accepted.remoteAddress ?? ''
  const splice = new Splice({
    brokenCode: 'CANCELLED',
    onClosed: (error) => log.debug({ resource, code: error?.code ?? 'OK' }, 'stream closed'),
  })
  try {
    splice.stream = options.streams.open({ tenantId, ...name, protocol: 'tcp', sourceAddress }, splice)
  } catch (error) {
    if (!isTunnelError(error)) throw error
    log.info({ resource, code: error.code }, 'connection refused')
    accepted.resetAndDestroy()
    return
  }
  splice.attach(readIntoBlocks(accepted, splice.reader))
}

/** @throws {TunnelError} LISTEN with the address and the reason */
export function listen(server: net.Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      reject(new TunnelError('LISTEN', `${host}:${port} (${error.code ?? error.message})`, { cause: error }))
    }
    server.once('error', onError)
    server.listen({ host, port }, () => {
      server.removeListener('error', onError)
      resolve()
    })
  })
}
