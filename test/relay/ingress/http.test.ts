import assert from 'node:assert/strict'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { type TestContext, test } from 'node:test'
import tls from 'node:tls'
import { generate } from 'selfsigned'
import { createHttpIngress, type HttpIngressOptions } from '../../../relay/ingress/http.ts'
import { TunnelError } from '../../../shared/errors.ts'
import type { Problem } from '../../../shared/http/problem.ts'
import { HTTP_SERVER_OPTIONS, hardenServer } from '../../../shared/http/server.ts'
import { createLog } from '../../../shared/log.ts'
import type { OpenRequest } from '../../../shared/tunnel/opener.ts'
import { bodyOf, get, listen, once, raw, request } from '../../shared/http/kit.ts'

interface Setup {
  readonly port: number
  readonly opened: OpenRequest[]
}

/** An ingress that publishes app.example and shop.example from one origin. */
async function ingress(
  t: TestContext,
  origin: http.RequestListener,
  options: Partial<HttpIngressOptions> & { server?: http.Server } = {},
): Promise<Setup> {
  const originServer = http.createServer(origin)
  originServer.on('upgrade', (_, socket) =>
    socket.end('HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n'),
  )
  const originPort = await listen(t, originServer)
  const opened: OpenRequest[] = []
  const way = createHttpIngress({
    route: (host) =>
      ['app.example', 'shop.example', '::1'].includes(host)
        ? { tenantId: 'default', environment: 'production', site: 'north', resource: 'web', host }
        : undefined,
    open: (openRequest) => {
      opened.push(openRequest)
      return net.connect({ port: originPort, host: '127.0.0.1', allowHalfOpen: true })
    },
    log: createLog({ level: 'silent' }),
    ...options,
  })
  const server = options.server ?? http.createServer(HTTP_SERVER_OPTIONS)
  hardenServer(server)
  server.on('request', way.handle).on('checkContinue', way.handle).on('upgrade', way.upgrade)
  return { port: await listen(t, server), opened }
}

const echo: http.RequestListener = (incoming, response) => {
  const body = JSON.stringify(incoming.rawHeaders)
  response.writeHead(200, { 'content-length': body.length }).end(body)
}

function headersOf(raws: readonly string[], name: string): string[] {
  return raws.filter((_, i) => i % 2 === 1 && raws[i - 1]?.toLowerCase() === name)
}

test('a request for a published host opens a stream of its own to the resource', async (t) => {
  const { port, opened } = await ingress(t, echo)
  await raw(port, get('/'))
  const [first] = opened
  assert.ok(first?.signal)
  assert.match(first.traceId ?? '', /^[0-9a-f]{32}$/)
  const { signal: _signal, traceId: _traceId, ...rest } = first
  assert.deepEqual(rest, {
    tenantId: 'default',
    environment: 'production',
    site: 'north',
    resource: 'web',
    protocol: 'http',
    publication: 'app.example',
    certificate: undefined,
    sourceAddress: '127.0.0.1',
  })
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  for (let i = 0; i < 3; i++) {
    const client = http.get({ port, agent, headers: { host: 'app.example' } })
    const answer = await once<http.IncomingMessage>(client, 'response')
    await answer.resume().toArray()
  }
  assert.equal(opened.length, 4)
})

test('S03: what the target reads of the client is ours, whatever the client claims or names in Connection', async (t) => {
  const { port } = await ingress(t, echo)
  const lying = await raw(
    port,
    get(
      '/',
      'X-Forwarded-For: 6.6.6.6',
      'X_FORWARDED_FOR: 6.6.6.6',
      'X-Forwarded-Host: evil',
      'X-Forwarded-Proto: https',
      'X-Forwarded-User: root',
      'Forwarded: for=6.6.6.6',
      'X-Real-IP: 6.6.6.6',
      'X-Sallyport-User: root',
      'Proxy: http://evil',
      'Connection: x-forwarded-for, forwarded, x-tunnel-user, via, host',
      'X-Tunnel-User: root',
      'Via: 1.0 cache',
    ),
  )
  const headers = bodyOf<string[]>(lying)
  assert.deepEqual(headersOf(headers, 'traceparent').length, 1)
  assert.deepEqual(
    headers.filter((_, i) => headers[i - (i % 2)] !== 'traceparent'),
    [
      ...['Host', 'app.example'],
      ...['X-Forwarded-For', '127.0.0.1'],
      ...['X-Forwarded-Host', 'app.example'],
      ...['X-Forwarded-Proto', 'http'],
      ...['Forwarded', 'for=127.0.0.1;host="app.example";proto=http'],
      ...['Via', '1.0 cache, 1.1 sallyport'],
      ...['Connection', 'close'],
    ],
  )
})

test('the trace of the caller goes on where it is well formed, else a new one', async (t) => {
  const { port, opened } = await ingress(t, echo)
  const id = 'a'.repeat(32)
  const given = `00-${id}-${'b'.repeat(16)}-01`
  const answer = await raw(port, get('/', `traceparent: ${given}`))
  assert.deepEqual(headersOf(bodyOf<string[]>(answer), 'traceparent'), [given])
  assert.equal(opened[0]?.traceId, id)
  await raw(port, get('/', 'traceparent: 00-nonsense'))
  await raw(port, get('/', `traceparent: 00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`))
  for (const { traceId } of opened.slice(1)) assert.match(traceId ?? '', /^(?!0{32})[0-9a-f]{32}$/)
})

test('S02: one authority decides: case and port do not matter, anything odd is refused', async (t) => {
  const { port, opened } = await ingress(t, echo)
  const served = ['app.example', 'APP.Example', 'app.example:8443', 'shop.example', '[::1]:80']
  for (const host of served) {
    const answer = await raw(port, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    assert.deepEqual(headersOf(bodyOf<string[]>(answer), 'host'), [host])
  }
  const refused = ['app.example.', 'user@app.example', 'app.example:0', 'app.example:99999', 'app.example:x']
  for (const host of [
    ...refused,
    'app.example/',
    'app.example, shop.example',
    '',
    ':80',
    '[app.example]',
    'a b',
  ]) {
    const { text } = await raw(port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    assert.match(text, /^HTTP\/1\.1 400 /, host)
  }
  const twice = await raw(port, 'GET / HTTP/1.1\r\nHost: app.example\r\nHost: app.example\r\n\r\n')
  assert.match(twice.text, /^HTTP\/1\.1 400 /)
  const absolute = 'GET http://169.254.169.254/ HTTP/1.1\r\nHost: app.example\r\n\r\n'
  assert.match((await raw(port, absolute)).text, /^HTTP\/1\.1 400 /)
  assert.equal(opened.length, served.length)
})

test('a host that is not published is the same 404 for all of them', async (t) => {
  const { port, opened } = await ingress(t, echo)
  const texts: string[] = []
  for (const host of ['nobody.example', 'other.example', '127.0.0.1', 'xn--nxasmq6b.example']) {
    const answer = await raw(port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    texts.push(answer.text.replace(/"traceId":"[0-9a-f]{32}"/, ''))
  }
  assert.equal(new Set(texts).size, 1)
  assert.match(texts[0] ?? '', /^HTTP\/1\.1 404 [\s\S]*"code":"NOT_FOUND"/)
  assert.equal(opened.length, 0)
})

test('S02: over TLS the name asked for and the Host must be one', async (t) => {
  const names = ['app.example', 'shop.example'].map((value) => ({ type: 2 as const, value }))
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'app.example' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: names }],
  })
  const server = https.createServer({ ...HTTP_SERVER_OPTIONS, key, cert })
  const { port, opened } = await ingress(t, echo, { server })
  const ask = async (servername: string, host: string) => {
    const socket = tls.connect({ port, servername, ca: cert })
    socket.on('error', () => undefined)
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    let text = ''
    for await (const chunk of socket) text += chunk
    return text
  }
  assert.match(
    await ask('app.example', 'APP.example:443'),
    /^HTTP\/1\.1 200 [\s\S]*"X-Forwarded-Proto","https"/,
  )
  assert.match(await ask('app.example', 'shop.example'), /^HTTP\/1\.1 421 [\s\S]*HTTP_MISDIRECTED/)
  assert.match(await ask('app.example', 'nobody.example'), /^HTTP\/1\.1 421 /)
  assert.equal(opened.length, 1)
})

test('nothing that follows a refused request on its connection is looked at', async (t) => {
  const { port, opened } = await ingress(t, echo)
  const good = 'GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n'
  const upgrade = 'GET / HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'
  for (const behind of [good, upgrade]) {
    const { text } = await raw(port, `GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n${behind}`)
    assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1)
  }
  assert.equal(opened.length, 0)
})

test('a stream that cannot be opened is told to the client, with the trace', async (t) => {
  const { port } = await ingress(t, echo, {
    open: () => {
      throw new TunnelError('AGENT_OFFLINE')
    },
  })
  const id = 'c'.repeat(32)
  const answer = await raw(port, get('/', `traceparent: 00-${id}-${'b'.repeat(16)}-01`))
  const problem = bodyOf<Problem>(answer)
  assert.match(answer.text, /^HTTP\/1\.1 503 /)
  assert.equal(problem.code, 'AGENT_OFFLINE')
  assert.equal(problem.traceId, id)
})

test('an internal fault shows nothing of itself', async (t) => {
  const { port } = await ingress(t, echo, {
    route: () => {
      throw new Error('secret of the store')
    },
  })
  const { text } = await raw(port, get('/'))
  assert.match(text, /^HTTP\/1\.1 500 [\s\S]*"code":"INTERNAL"/)
  assert.doesNotMatch(text, /secret/)
})

test('more requests at once than the limit are turned away, and places come free again', async (t) => {
  const waiting: http.ServerResponse[] = []
  const arrived = Promise.withResolvers<void>()
  const { port } = await ingress(
    t,
    (_, response) => {
      waiting.push(response)
      if (waiting.length === 2) arrived.resolve()
      if (waiting.length > 2) response.end('free')
    },
    { limits: { maxPerHost: 2 } },
  )
  const held = [raw(port, get('/')), raw(port, get('/'))]
  await arrived.promise
  assert.match((await raw(port, get('/'))).text, /^HTTP\/1\.1 503 [\s\S]*OVERLOADED/)
  for (const response of waiting) response.end('done')
  await Promise.all(held)
  let text = ''
  while (!text.includes('free')) text = (await raw(port, get('/'))).text
})

test('a client that pipelines without end is turned away', async (t) => {
  const { port, opened } = await ingress(t, () => undefined, { limits: { maxPipelined: 4 } })
  const socket = net.connect(port)
  socket.on('error', () => undefined)
  socket.write('GET / HTTP/1.1\r\nHost: app.example\r\n\r\n'.repeat(50))
  while (opened.length < 4) await new Promise((resolve) => setImmediate(resolve))
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(opened.length, 4)
  socket.destroy()
})

test('a published host that leads back to the ingress ends after a few turns', async (t) => {
  const turns = { port: 0, opened: [] as unknown[] }
  const { port } = await ingress(t, echo, {
    open: (openRequest) => {
      turns.opened.push(openRequest)
      return net.connect(turns.port, '127.0.0.1')
    },
  })
  turns.port = port
  const { text } = await raw(port, get('/'))
  assert.match(text, /^HTTP\/1\.1 400 [\s\S]*circles/)
  assert.equal(turns.opened.length, 4)
})

test('S28: a redirect to anywhere is passed on and not followed', async (t) => {
  const { port, opened } = await ingress(t, (_, response) => {
    response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end()
  })
  const { text } = await raw(port, get('/'))
  assert.match(text, /^HTTP\/1\.1 302 Found\r\nlocation: http:\/\/169\.254\.169\.254\/latest\r\n/)
  assert.equal(opened.length, 1)
})

test('a WebSocket handshake is routed and checked like a request', async (t) => {
  const { port, opened } = await ingress(t, echo)
  const handshake = (host: string) =>
    `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`
  const socket = net.connect(port)
  socket.write(handshake('app.example'))
  assert.match(String(await once<Buffer>(socket, 'data')), /^HTTP\/1\.1 101 /)
  socket.destroy()
  assert.match((await raw(port, handshake('nobody.example'))).text, /^HTTP\/1\.1 404 [\s\S]*NOT_FOUND/)
  assert.match((await raw(port, handshake('a@app.example'))).text, /^HTTP\/1\.1 400 /)
  assert.equal(opened.length, 1)
})

test('the problem document of a HEAD request is its head alone', async (t) => {
  const { port } = await ingress(t, echo)
  const { text } = await raw(port, request('HEAD', '/', []).replace('app.example', 'nobody.example'))
  assert.match(text, /^HTTP\/1\.1 404 [\s\S]*\r\n\r\n$/)
})
