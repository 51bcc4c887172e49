import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import net from 'node:net'
import { TunnelError } from '../../shared/errors.ts'
import { listen } from '../../shared/tunnel/tcp-listener.ts'
import { METRICS_TYPE } from './exposition.ts'

/** A listener for `GET /metrics`. */
export interface MetricsServer extends AsyncDisposable {
  readonly port: number
}

/**
 * Answers `GET /metrics` without asking who it is, and so on a loopback address only: what else should read it comes by a
 * tunnel or a proxy of its own.
 * @throws {TunnelError} USAGE where the address is not of the loopback, LISTEN where it cannot be had
 */
export async function serveMetrics(
  address: { readonly host: string; readonly port: number },
  read: () => string,
): Promise<MetricsServer> {
  if (!isLoopback(address.host)) {
    throw new TunnelError('USAGE', `--metrics is for a loopback address, and ${address.host} is none.`, {
      next: 'sallyport relay up --metrics 127.0.0.1:9464',
    })
  }
  const server = createServer(
    { headersTimeout: 5_000, requestTimeout: 5_000, maxHeaderSize: 8_192 },
    (request, response) => answer(request, response, read),
  )
  server.maxConnections = 16
  await listen(server, address.host, address.port)
  return {
    port: (server.address() as net.AddressInfo).port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function isLoopback(host: string): boolean {
  return host === '::1' || (net.isIPv4(host) && host.startsWith('127.'))
}

function answer(request: IncomingMessage, response: ServerResponse, read: () => string): void {
  const { method, url, headers } = request
  // A page in a browser of this machine could name itself so that it resolves to here: it would be the Host then.
  const host = headers.host ?? ''
  const isMeant =
    isLoopback(host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')) || /^localhost(:\d+)?$/.test(host)
  const isRight = method === 'GET' && url === '/metrics' && isMeant
  const body = isRight ? read() : ''
  response.writeHead(isRight ? 200 : 404, {
    'content-type': METRICS_TYPE,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    connection: 'close',
  })
  response.end(body)
}
