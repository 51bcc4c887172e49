import { chmod, unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, isIPv4 } from 'node:net'
import { parseListenAddress } from '../../shared/cli/listen-address.ts'
import { printable } from '../../shared/cli/printable.ts'
import { TunnelError } from '../../shared/errors.ts'
import { escapeHtml } from '../../shared/http/escape-html.ts'
import { type StatusAnswer, statusLines } from './status-command.ts'

/** Seconds after which a browser asks again. */
const REFRESH_S = 10
const MAX_CONNECTIONS = 16

/** Nothing may be loaded, run, framed, kept or told to other sites. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
} as const

/** A page that is being served. */
export interface StatusPage extends AsyncDisposable {
  /** As a browser takes it, or the path of the socket. */
  readonly address: string
}

/**
 * Serves a page that shows the status and can do nothing. Only this machine reaches it: a loopback address, where every user
 * of the machine can read it, or a unix socket of mode 0600. The Host header must name the address, or a page from outside
 * could read it through a name that it lets point here.
 *
 * @param where 127.0.0.1:PORT, [::1]:PORT, localhost:PORT, or an absolute path
 * @throws {TunnelError} USAGE where it is reachable from elsewhere; LISTEN
 */
export async function serveStatusPage(where: string, status: () => StatusAnswer): Promise<StatusPage> {
  const isPath = where.startsWith('/')
  const loopback = isPath ? undefined : loopbackAddress(where)
  const hosts = new Set<string>()
  const server = createServer(
    { headersTimeout: 5_000, requestTimeout: 5_000, maxHeaderSize: 8_192 },
    (request, response) =>
      answer(request, response, { isKnownHost: (host) => isPath || hosts.has(host), status }),
  )
  server.maxConnections = MAX_CONNECTIONS
  if (loopback === undefined) await listenOnSocket(server, where)
  else await listen(server, loopback)
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  if (isPath) return { address: where, [Symbol.asyncDispose]: close }
  const { port } = server.address() as AddressInfo
  for (const name of ['127.0.0.1', '[::1]', 'localhost', hostText(loopback?.host ?? '')])
    hosts.add(`${name}:${port}`)
  return { address: `http://${hostText(loopback?.host ?? '')}:${port}/`, [Symbol.asyncDispose]: close }
}

interface Page {
  readonly isKnownHost: (host: string) => boolean
  readonly status: () => StatusAnswer
}

function answer(request: IncomingMessage, response: ServerResponse, { isKnownHost, status }: Page): void {
  const send = (code: number, type: string, body: string) => {
    response.writeHead(code, { ...HEADERS, 'content-type': `${type}; charset=utf-8`, connection: 'close' })
    response.end(request.method === 'HEAD' ? undefined : body)
  }
  if (!isKnownHost(request.headers.host?.toLowerCase() ?? ''))
    send(421, 'text/plain', 'This is not the address of this page.\n')
  else if (request.method !== 'GET' && request.method !== 'HEAD')
    send(405, 'text/plain', 'This page can only be read.\n')
  else if (request.url === '/') {
    response.setHeader('refresh', String(REFRESH_S))
    send(200, 'text/html', pageText(status()))
  } else if (request.url === '/status.json') send(200, 'application/json', `${JSON.stringify(status())}\n`)
  else send(404, 'text/plain', 'There are / and /status.json here.\n')
}

/** The page. Whatever the status holds is text in it, whoever had a hand in it. */
export function pageText(status: StatusAnswer): string {
  const title = `Sallyport agent of site ${status.site}`
  const lines = statusLines(status).map((line) => escapeHtml(printable(line)))
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(printable(title))}</title></head>
<body><h1>${escapeHtml(printable(title))}</h1>
<pre>${lines.join('\n')}</pre>
<p><a href="/status.json">all of it, as JSON</a></p>
</body></html>
`
}

/** @throws {TunnelError} USAGE */
function loopbackAddress(where: string): { host: string; port: number } {
  const { host, port } = parseListenAddress(where)
  if (host === 'localhost') return { host: '127.0.0.1', port }
  if ((isIPv4(host) && host.startsWith('127.')) || host === '::1') return { host, port }
  throw new TunnelError('USAGE', `${where} can be reached from other machines; the page is for this one.`, {
    next: 'write 127.0.0.1:PORT, [::1]:PORT, or the absolute path of a unix socket',
  })
}

function hostText(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

async function listenOnSocket(server: Server, path: string): Promise<void> {
  if (process.platform === 'win32')
    throw new TunnelError('USAGE', 'On Windows the page needs 127.0.0.1:PORT.')
  try {
    await listen(server, { path })
  } catch (err) {
    // Left by a process that died; one that lives holds its data directory, so it is not ours to ask.
    await unlink(path).catch(() => {
      throw err
    })
    await listen(server, { path })
  }
  await chmod(path, 0o600)
}

function listen(server: Server, options: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => reject(new TunnelError('LISTEN', 'The status page.', { cause }))
    server.once('error', onError)
    server.listen(options, () => {
      server.off('error', onError)
      resolve()
    })
  })
}
