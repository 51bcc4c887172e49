import type net from 'node:net'
import type { TunnelError } from '../shared/errors.ts'
import { listenTcp } from '../shared/tunnel/tcp-listener.ts'
import type { Connector } from './connection.ts'

export interface LocalForwardOptions {
  readonly connector: Connector
  /** `SITE/RESOURCE`. */
  readonly resource: string
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** Told why a connection did not end well. */
  readonly onFailure?: (error: TunnelError) => void
}

/** A listening forward. */
export interface LocalForward {
  readonly host: string
  readonly port: number
  /** Takes no more connections; those that are open go on. */
  close(): void
}

/**
 * Listens on a local address and opens a stream for each connection: the service behind it is as if next door.
 * @throws {TunnelError} LISTEN
 */
export async function forwardLocally(options: LocalForwardOptions): Promise<LocalForward> {
  const { connector, resource, host, port, onFailure } = options
  const server = await listenTcp({
    host,
    port,
    open: (handler) => connector.open(resource, handler),
    onClosed: (error) => {
      if (error !== null && error.code !== 'CANCELLED') onFailure?.(error)
    },
  })
  const bound = server.address() as net.AddressInfo
  return { host, port: bound.port, close: () => server.close() }
}
