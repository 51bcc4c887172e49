import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import WebSocket, { WebSocketServer } from 'ws'
import { TunnelHttpAgent } from '../../connector/index.ts'
import { within } from '../support/deadline.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

type Route = (request: http.IncomingMessage, response: http.ServerResponse) => void

const ROUTES: Record<string, Route> = {
  '/seen': (request, response) => {
    const { method, url, headers } = request
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ method, url, headers }))
  },
  '/upload': (request, response) => {
    const hash = createHash('sha256')
    request.on('data', (chunk: Buffer) => hash.update(chunk))
    request.on('end', () => {
      response.end(
        JSON.stringify({ sha256: hash.digest('hex'), encoding: request.headers['transfer-encoding'] }),
      )
    })
  },
  '/trailers': (_request, response) => {
    response.writeHead(200, { trailer: 'x-checksum' })
    response.write('body')
    response.addTrailers({ 'x-checksum': '123' })
    response.end()
  },
  '/hints': (_request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' }, () => response.end('page'))
  },
}

/** A service on the site: HTTP routes, server-sent events that the test sends, a WebSocket echo. */
async function startOrigin() {
  const events: http.ServerResponse[] = []
  const server = http.createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    if (path === '/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      events.push(response)
    } else (ROUTES[path] ?? ((_, answer) => answer.writeHead(404).end('not there')))(request, response)
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    events,
    close() {
      for (const client of sockets.clients) client.terminate()
      server.closeAllConnections()
      server.close()
    },
  }
}

interface Answer {
  readonly response: http.IncomingMessage
  readonly text: string
}

async function readAll(response: http.IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = await within(response.toArray(), 'the whole answer')
  return { response, text: Buffer.concat(chunks).toString() }
}

describe('HTTP through the relay to the site', () => {
  let kit: RelayKit
  let origin: Awaited<ReturnType<typeof startOrigin>>
  let ca: string

  before(async () => {
    kit = await startKit()
    origin = await startOrigin()
    const rule = (port: number, ...more: string[]) =>
      ['protocol = "http"', 'host = "127.0.0.1"', `port = ${port}`, 'allow_loopback = true', ...more].join(
        '\n',
      )
    const down = await startOrigin()
    down.close()
    await kit.startAgent({
      rules: {
        web: rule(origin.port),
        named: rule(
          origin.port,
          'host_header = "intranet.corp.test"',
          'path_prefixes = ["/seen"]',
          'methods = ["GET"]',
        ),
        down: rule(down.port),
      },
    })
    for (const [resource, address] of Object.entries({
      'berlin/web': 'app.test',
      'berlin/named': 'named.test',
      'berlin/down': 'down.test',
      'berlin/nothing': 'denied.test',
      'munich/web': 'offline.test',
    })) {
      await kit.command('publication.add', { resource, kind: 'host', address })
    }
    ca = (await kit.credentials('for-its-ca', 'berlin/web')).ca
  })

  after(async () => {
    origin.close()
    await kit[Symbol.asyncDispose]()
  })

  const begin = (host: string, path: string, options: https.RequestOptions = {}): http.ClientRequest =>
    https.request({
      host: '127.0.0.1',
      port: kit.port,
      servername: host,
      ca,
      path,
      agent: false,
      ...options,
      headers: { host, ...(options.headers as http.OutgoingHttpHeaders | undefined) },
    })

  const ask = async (host: string, path: string, options: https.RequestOptions = {}): Promise<Answer> => {
    const request = begin(host, path, options)
    request.end()
    const [response] = await within(once(request, 'response'), `an answer of ${host}${path}`)
    return readAll(response)
  }

  const problemOf = async (host: string, path = '/', options: https.RequestOptions = {}) => {
    const { response, text } = await ask(host, path, options)
    assert.equal(response.headers['content-type'], 'application/problem+json')
    const { code, leg, status } = JSON.parse(text)
    assert.equal(status, response.statusCode)
    return `${status} ${code} ${leg}`
  }

  it('the host name chooses the resource, and the service hears the name that its rule gives', async () => {
    const app = JSON.parse((await ask('app.test', '/seen')).text)
    assert.equal(app.headers.host, `127.0.0.1:${origin.port}`)
    assert.equal(app.headers['x-forwarded-host'], 'app.test')
    const named = JSON.parse((await ask('named.test', '/seen?a=b')).text)
    assert.equal(named.headers.host, 'intranet.corp.test')
    assert.equal(named.url, '/seen?a=b')
    assert.equal((await ask('unknown.test', '/', { servername: '' })).response.statusCode, 404)
  })

  it('S03: the client is who connected, whatever its own headers say', async () => {
    const headers = {
      'x-forwarded-for': '6.6.6.6',
      'x-forwarded-proto': 'gopher',
      'x-real-ip': '6.6.6.6',
      forwarded: 'for=6.6.6.6',
    }
    const seen = JSON.parse((await ask('app.test', '/seen', { headers })).text).headers
    assert.equal(seen['x-forwarded-for'], '127.0.0.1')
    assert.equal(seen['x-forwarded-proto'], 'https')
    assert.equal(seen.forwarded, 'for=127.0.0.1;host="app.test";proto=https')
    assert.equal(seen['x-real-ip'], undefined)
  })

  it('a WebSocket echoes text and a megabyte', async () => {
    const socket = new WebSocket('wss://app.test/echo', {
      ca,
      createConnection: ((options: object) => {
        const request = { ...options, host: '127.0.0.1', port: kit.port, servername: 'app.test' }
        return (https.globalAgent as unknown as { createConnection(o: object): unknown }).createConnection(
          request,
        )
      }) as never,
    })
    await within(once(socket, 'open'), 'the WebSocket')
    socket.send('hello')
    assert.equal(String((await within(once(socket, 'message'), 'an echo'))[0]), 'hello')
    const large = randomBytes(1_000_000)
    socket.send(large)
    const [echo] = await within(once(socket, 'message'), 'an echo')
    assert.ok(large.equals(echo as Buffer))
    socket.close(1000)
    const [code] = await within(once(socket, 'close'), 'the end')
    assert.equal(code, 1000)
  })

  it('server-sent events come one by one, and the service learns that the client left', async () => {
    const request = begin('app.test', '/events')
    request.end()
    const [response] = await within(once(request, 'response'), 'the head')
    assert.equal(String((await within(once(response, 'data'), 'an event'))[0]), 'data: 1\n\n')
    const stream = origin.events[0]
    stream?.write('data: 2\n\n')
    assert.equal(String((await within(once(response, 'data'), 'an event'))[0]), 'data: 2\n\n')
    const left = once(stream as http.ServerResponse, 'close')
    response.on('error', () => undefined)
    request.on('error', () => undefined).destroy()
    await within(left, 'the service learns it')
  })

  it('a chunked upload of 8 MiB arrives the same to the byte', async () => {
    const body = randomBytes(8 * 1024 * 1024)
    const request = begin('app.test', '/upload', { method: 'POST' })
    for (let at = 0; at < body.length; at += 100_000) request.write(body.subarray(at, at + 100_000))
    request.end()
    const [response] = await within(once(request, 'response'), 'an answer')
    const seen = JSON.parse((await readAll(response)).text)
    assert.equal(seen.encoding, 'chunked')
    assert.equal(seen.sha256, createHash('sha256').update(body).digest('hex'))
  })

  it('trailers and early hints pass', async () => {
    const { response, text } = await ask('app.test', '/trailers')
    assert.equal(text, 'body')
    assert.equal(response.trailers['x-checksum'], '123')
    const request = begin('app.test', '/hints')
    const hint = once(request, 'information')
    request.end()
    const [answer] = await within(once(request, 'response'), 'an answer')
    const [information] = await hint
    assert.equal(`${information.statusCode} ${information.headers.link}`, '103 </style.css>; rel=preload')
    assert.equal((await readAll(answer)).text, 'page')
  })

  it('each failure is a problem document that names code and leg', async () => {
    assert.equal(await problemOf('offline.test'), '503 AGENT_OFFLINE relay-agent')
    assert.equal(await problemOf('down.test'), '502 CONNECTION_REFUSED agent-target')
    assert.equal(await problemOf('denied.test'), '403 DENIED_BY_SITE agent')
    assert.equal(await problemOf('named.test', '/other'), '403 DENIED_BY_SITE agent')
    assert.equal(await problemOf('named.test', '/seen', { method: 'DELETE' }), '403 DENIED_BY_SITE agent')
    assert.equal(
      await problemOf('app.test', '/', { servername: 'down.test' }),
      '421 HTTP_MISDIRECTED connector-relay',
    )
  })

  it("the SDK's http.Agent reaches the service by a connector, which may not claim another client", async () => {
    const connector = await kit.connect(await kit.credentials('sdk', 'berlin/web', 'berlin/down'))
    const agent = new TunnelHttpAgent(() => connector.connect('berlin/web'))
    for (let round = 0; round < 3; round++) {
      const request = http.get('http://anything.test/seen', {
        agent,
        headers: { 'x-forwarded-for': '6.6.6.6' },
      })
      const [response] = await within(once(request, 'response'), 'an answer')
      const seen = JSON.parse((await readAll(response)).text)
      assert.equal(seen.headers.host, `127.0.0.1:${origin.port}`)
      assert.equal(seen.headers['x-forwarded-for'], undefined)
    }
    agent.destroy()
    const broken = new TunnelHttpAgent(() => connector.connect('berlin/down'))
    const request = http.get('http://anything.test/', { agent: broken })
    const [response] = await within(once(request, 'response'), 'an answer')
    assert.equal(JSON.parse((await readAll(response)).text).code, 'CONNECTION_REFUSED')
    broken.destroy()
  })
})
