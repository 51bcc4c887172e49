import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'

/** A running HTTP service. */
export interface HttpService extends AsyncDisposable {
  /** 127.0.0.1. */
  readonly host: string
  readonly port: number
  /** Takes no new requests, ends the running ones. */
  stop(): Promise<void>
}

const BLOCK = Buffer.alloc(64 * 1024, 'Sallyport. ')
/** 64 GiB. */
const MAX_DOWNLOAD_BYTES = 2 ** 36

const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>A service on site</title>
<h1>A service on site</h1>
<p>It listens on the loopback of a machine behind a firewall, and you have reached it.
<ul>
<li><a href="/json">/json</a>: what this service saw of your request
<li><a href="/bytes/1048576">/bytes/N</a>: N bytes
<li><a href="/clock">/clock</a>: the time, each second, as server-sent events
<li>POST /upload: gives back the length and the SHA-256 of what you send
</ul>
`

type Route = (request: IncomingMessage, response: ServerResponse, rest: string) => void | Promise<void>

/** First segment of the path -> what answers it. */
const ROUTES: Readonly<Record<string, Route>> = {
  'GET ': (_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8').end(PAGE)
  },
  'GET json': (request, response) => {
    const { method, url, httpVersion, headers } = request
    sendJson(response, 200, { service: 'sample', method, url, httpVersion, headers })
  },
  'GET bytes': async (_request, response, rest) => {
    const length = /^[0-9]{1,11}$/.test(rest) ? Number(rest) : -1
    if (length < 0 || length > MAX_DOWNLOAD_BYTES) {
      sendJson(response, 400, { error: 'write /bytes/N with N up to 2^36' })
      return
    }
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': length })
    await pipeline(sampleBytes(length), response)
  },
  'GET clock': (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const tick = () => response.write(`data: ${new Date().toISOString()}\n\n`)
    tick()
    const timer = setInterval(tick, 1000)
    response.on('close', () => clearInterval(timer))
  },
  'POST upload': async (request, response) => {
    const hash = createHash('sha256')
    let length = 0
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length
      hash.update(chunk)
    }
    sendJson(response, 200, { length, sha256: hash.digest('hex') })
  },
}

/**
 * What /bytes/N sends, in blocks that are the caller's. Each 64 KiB begin with their own number, so that none can be
 * lost, repeated or moved without a trace.
 */
export function* sampleBytes(length: number): Generator<Buffer> {
  for (let offset = 0; offset < length; offset += BLOCK.length) {
    const block = Buffer.from(BLOCK)
    block.write(`${offset / BLOCK.length} `.padStart(16, '0'))
    yield block.subarray(0, length - offset)
  }
}

/** Starts the sample service on a free port of 127.0.0.1: a page, JSON, a download, a clock, an upload. */
export async function startHttpService(): Promise<HttpService> {
  const server = createServer((request, response) => {
    // A client that leaves in the middle is no fault of the service.
    answer(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the system gave no port')
  let stopping: Promise<void> | undefined
  const stop = () => {
    stopping ??= new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
    return stopping
  }
  return { host: '127.0.0.1', port: address.port, stop, [Symbol.asyncDispose]: stop }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?')
  const [, first = '', rest = ''] = path.split('/')
  const key = `${request.method} ${first}`
  const route = Object.hasOwn(ROUTES, key) ? ROUTES[key] : undefined
  if (route === undefined) sendJson(response, 404, { error: 'nothing here' })
  else await route(request, response, rest)
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`)
}
