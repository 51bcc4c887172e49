import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { createHttpTarget, type HttpTargetOptions } from '../../agent/http-target.ts'
import { TunnelError } from '../../shared/errors.ts'
import { createLog } from '../../shared/log.ts'
import type { HttpRule } from '../../shared/policy/rule.ts'
import { bodyOf, listen, once, request } from '../shared/http/kit.ts'

interface Setup {
  /** The opener's end of a new stream. */
  open(fromIngress?: boolean): Duplex
  readonly dialled: () => number
}

async function target(
  t: TestContext,
  http_: Partial<HttpRule>,
  options: Partial<HttpTargetOptions> & { server?: http.Server } = {},
): Promise<Setup> {
  const server = options.server ?? http.createServer(echo)
  const port = await listen(t, server)
  let dialled = 0
  const site = createHttpTarget({
    rule: {
      resource: 'web',
      host: { kind: 'name', text: 'intranet.local' },
      port: 8080,
      http: { methods: [], pathPrefixes: [], ...http_ },
    },
    dial: async () => {
      dialled++
      const socket = net.connect(port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    },
    log: createLog({ level: 'silent' }),
    ...options,
  })
  t.after(() => site.close())
  return {
    open(fromIngress = false) {
      const [near, far] = duplexPair()
      near.on('error', () => undefined)
      site.accept(far, { fromIngress })
      return near
    },
    dialled: () => dialled,
  }
}

const echo: http.RequestListener = (incoming, response) => {
  const body = JSON.stringify({ url: incoming.url, method: incoming.method, headers: incoming.headers })
  response.writeHead(200, { 'content-length': body.length }).end(body)
}

async function ask(stream: Duplex, text: string): Promise<string> {
  stream.write(text)
  let answer = ''
  for await (const chunk of stream) answer += chunk
  return answer
}

interface Echo {
  readonly url: string
  readonly headers: Record<string, string>
}

function echoed(text: string): Echo {
  return bodyOf<Echo>({ text, end: 'FIN' })
}

test('a request reaches the target under the name of the rule, its path untouched', async (t) => {
  const { open } = await target(t, {})
  const plain = echoed(await ask(open(), request('GET', '/a%2Fb//c?d=../e', [])))
  assert.equal(plain.url, '/a%2Fb//c?d=../e')
  assert.equal(plain.headers.host, 'intranet.local:8080')
  assert.match(plain.headers.traceparent ?? '', /^00-/)
  const named = await target(t, { hostHeader: 'crm.corp' })
  assert.equal(echoed(await ask(named.open(), request('GET', '/', []))).headers.host, 'crm.corp')
})

test('the client is believed only as the ingress names it', async (t) => {
  const { open } = await target(t, {})
  const lines = ['X-Forwarded-For: 192.0.2.7', 'Forwarded: for=192.0.2.7', 'X-Real-IP: 192.0.2.7']
  const direct = echoed(await ask(open(false), request('GET', '/', lines)))
  assert.deepEqual(
    Object.keys(direct.headers).filter((name) => /forwarded|real-ip/.test(name)),
    [],
  )
  const ingress = echoed(await ask(open(true), request('GET', '/', lines)))
  assert.equal(ingress.headers['x-forwarded-for'], '192.0.2.7')
})

test('methods and paths outside the rule are refused by the site before anything is dialled', async (t) => {
  const { open, dialled } = await target(t, { methods: ['GET', 'HEAD'], pathPrefixes: ['/api', '/pub/'] })
  for (const path of ['/api', '/api/', '/api/x?y=../..', '/pub/x']) {
    assert.match(await ask(open(), request('GET', path, [])), /^HTTP\/1\.1 200 /, path)
  }
  const allowed = dialled()
  const denied: [string, string][] = [
    ['POST', '/api'],
    ['DELETE', '/api/x'],
    ['GET', '/'],
    ['GET', '/apix'],
    ['GET', '/pub'],
    ['GET', '/API/x'],
    ['GET', '/api/../admin'],
    ['GET', '/api/..'],
    ['GET', '/api/%2e%2e/admin'],
    ['GET', '/api/%2E./admin'],
    ['GET', '/api/..%2fadmin'],
    ['GET', '/api/..%5cadmin'],
    ['GET', '/api\\..\\admin'],
    ['GET', '/api/..;/admin'],
    ['GET', '/api//../admin'],
    ['GET', '//api/x'],
    ['GET', '/api/%252e%252e/admin'],
    ['GET', '/api/%00'],
  ]
  for (const [method, path] of denied) {
    const text = await ask(open(), request(method, path, []))
    assert.match(text, /^HTTP\/1\.1 403 [\s\S]*"code":"DENIED_BY_SITE"/, path)
    assert.match(text, /"leg":"agent"/)
  }
  assert.match(await ask(open(), request('GET', 'http://127.0.0.1/api', [])), /^HTTP\/1\.1 400 /)
  assert.equal(dialled(), allowed)
})

test('a narrowed rule is not talked round by override headers', async (t) => {
  const lines = ['X-HTTP-Method-Override: DELETE', 'X_Original_URL: /admin', 'X-Rewrite-Url: /admin']
  const narrow = await target(t, { methods: ['POST'] })
  const text = await ask(narrow.open(), request('POST', '/', [...lines, 'Content-Length: 0']))
  assert.doesNotMatch(text, /override|original|rewrite/i)
  const wide = await target(t, {})
  assert.match(await ask(wide.open(), request('POST', '/', [...lines, 'Content-Length: 0'])), /override/)
})

test('after a refusal the stream ends, so nothing behind it is served', async (t) => {
  const { open, dialled } = await target(t, { pathPrefixes: ['/api'] })
  for (const lines of ['', 'Connection: upgrade\r\nUpgrade: websocket\r\n']) {
    const good = `GET /api HTTP/1.1\r\nHost: a\r\n${lines}\r\n`
    const text = await ask(open(), `GET /no HTTP/1.1\r\nHost: a\r\n\r\n${good}`)
    assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1)
  }
  assert.equal(dialled(), 0)
})

test('several requests on one stream each get a connection of their own', async (t) => {
  const { open, dialled } = await target(t, {})
  const keep = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
  const text = await ask(open(), keep + keep + request('GET', '/', []))
  assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 3)
  assert.equal(dialled(), 3)
})

test('a dial that fails is told with its code and leg', async (t) => {
  const { open } = await target(
    t,
    {},
    { dial: () => Promise.reject(new TunnelError('DNS', 'intranet.local')) },
  )
  const text = await ask(open(), request('GET', '/', []))
  assert.match(text, /^HTTP\/1\.1 502 [\s\S]*"code":"DNS","leg":"agent-target","detail":"intranet.local"/)
})

test('a redirect is passed on and not followed', async (t) => {
  const server = http.createServer((_, response) => {
    response.writeHead(302, { location: 'http://169.254.169.254/' }).end()
  })
  const { open, dialled } = await target(t, {}, { server })
  assert.match(await ask(open(), request('GET', '/', [])), /^HTTP\/1\.1 302 [\s\S]*169\.254\.169\.254/)
  assert.equal(dialled(), 1)
})

test('a WebSocket passes where the rule allows GET on its path, and only there', async (t) => {
  const server = http.createServer()
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)))
  const { open } = await target(t, { methods: ['GET'], pathPrefixes: ['/ws'] }, { server })
  const client = new WebSocket('ws://web/ws', { createConnection: () => open() as net.Socket })
  await once(client, 'open')
  const answer = once<Buffer>(client, 'message')
  client.send('hello')
  assert.equal(String(await answer), 'hello')
  client.terminate()
  const lines = ['Connection: Upgrade', 'Upgrade: websocket']
  assert.match(await ask(open(), request('GET', '/admin', lines)), /^HTTP\/1\.1 403 /)
  const posting = await target(t, { methods: ['POST'] })
  assert.match(await ask(posting.open(), request('GET', '/ws', lines)), /^HTTP\/1\.1 403 /)
})

test('an early hint and a wait for 100 pass the stream', async (t) => {
  const server = http.createServer()
  server.on('checkContinue', (incoming, response) => {
    response.writeEarlyHints({ link: '</a>; rel=preload' })
    response.writeContinue()
    incoming.pipe(response)
  })
  const { open } = await target(t, {}, { server })
  const stream = open()
  stream.write(request('POST', '/', ['Expect: 100-continue', 'Content-Length: 2']))
  let text = ''
  for await (const chunk of stream) {
    if (!text.includes('100 Continue') && String(chunk).includes('100 Continue')) stream.write('hi')
    text += chunk
  }
  assert.match(text, /^HTTP\/1\.1 103 [\s\S]*HTTP\/1\.1 100 [\s\S]*HTTP\/1\.1 200 [\s\S]*hi/)
})

test('a stream that never sends a request is given up, and one that did is not', async (t) => {
  const timers = new Set<() => void>()
  const { open } = await target(
    t,
    {},
    {
      effects: {
        randomBytes: (length) => Buffer.alloc(length, 1),
        after: (_, callback) => {
          timers.add(callback)
          return () => timers.delete(callback)
        },
      },
    },
  )
  const silent = open()
  silent.write('GET / HT')
  const closed = once(silent, 'close')
  for (const expire of [...timers]) expire()
  await closed
  timers.clear()
  const stream = open()
  stream.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(stream, 'data')
  assert.equal(stream.destroyed, false)
  stream.destroy()
})

test('closing breaks every stream off', async (t) => {
  const site = createHttpTarget({
    rule: { resource: 'web', host: { kind: 'name', text: 'a' }, port: 80 },
    dial: () => new Promise(() => undefined),
    log: createLog({ level: 'silent' }),
  })
  const [near, far] = duplexPair()
  site.accept(far, { fromIngress: false })
  const closed = once(near, 'close')
  t.after(() => near.destroy())
  site.close()
  await closed
})
