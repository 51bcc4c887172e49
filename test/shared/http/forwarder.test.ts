import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import net from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { TunnelError } from '../../../shared/errors.ts'
import type { Problem } from '../../../shared/http/problem.ts'
import { bodyOf, breakable, front, get, listen, once, raw, read, request } from './kit.ts'

test('a request and its answer pass with status, reason, repeated headers and the case of their names', async (t) => {
  const origin = await listen(
    t,
    http.createServer((request, response) => {
      assert.deepEqual(
        request.rawHeaders.filter((_, i) => i % 2 === 0),
        ['Host', 'X-Odd-CASE', 'Connection'],
      )
      response.writeHead(299, 'Very Fine', ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Odd-CASE', 'yes'])
      response.end(request.url)
    }),
  )
  const { text } = await raw(await front(t, origin), get('/a?b=%2F', 'X-Odd-CASE: 1'))
  assert.match(text, /^HTTP\/1\.1 299 Very Fine\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Odd-CASE: yes\r\n/)
  assert.match(text, /a\?b=%2F/)
})

test('a chunked body passes up and down byte for byte', async (t) => {
  const origin = await listen(
    t,
    http.createServer((request, response) => {
      assert.equal(request.headers['transfer-encoding'], 'chunked')
      request.pipe(response)
    }),
  )
  const port = await front(t, origin)
  const body = randomBytes(3_000_000)
  const upload = http.request({ port, method: 'POST' })
  const answered = once<http.IncomingMessage>(upload, 'response')
  for (let i = 0; i < body.length; i += 70_001) upload.write(body.subarray(i, i + 70_001))
  upload.end()
  const answer = await answered
  const hash = createHash('sha256')
  for await (const chunk of answer) hash.update(chunk as Buffer)
  assert.equal(answer.headers['transfer-encoding'], 'chunked')
  assert.equal(hash.digest('hex'), createHash('sha256').update(body).digest('hex'))
})

test('100 MiB to a slow reader stay bounded in memory and arrive whole', async (t) => {
  const total = 100 * 2 ** 20
  let sent = 0
  const block = Buffer.alloc(65_536, 7)
  const origin = await listen(
    t,
    http.createServer((_, response) => {
      response.writeHead(200, { 'content-length': total })
      const more = () => {
        while (sent < total) {
          sent += block.length
          if (!response.write(block)) return
        }
        response.end()
      }
      response.on('drain', more)
      more()
    }),
  )
  const client = http.get({ port: await front(t, origin) })
  const answer = await once<http.IncomingMessage>(client, 'response')
  // Nothing is read yet: what the origin got rid of sits in the kernel and in the buffers of the forwarder.
  let before = -1
  while (before !== sent) {
    before = sent
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(sent < 32 * 2 ** 20, `${sent} bytes were taken from the origin ahead of the reader`)
  let received = 0
  for await (const chunk of answer) received += (chunk as Buffer).length
  assert.equal(received, total)
})

test('an upload waits for a target that does not read', async (t) => {
  const origin = await listen(
    t,
    net.createServer((socket) => socket.pause()),
  )
  const upload = http.request({ port: await front(t, origin), method: 'PUT' })
  upload.on('error', () => undefined)
  const block = Buffer.alloc(65_536)
  let sent = 0
  let before = -1
  while (before !== sent) {
    before = sent
    for (let turn = 0; turn < 50; turn++) {
      while (!upload.writableNeedDrain && sent < 100 * 2 ** 20) {
        upload.write(block)
        sent += block.length
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  upload.destroy()
  assert.ok(sent < 32 * 2 ** 20, `${sent} bytes were taken from the client`)
})

test('an event stream shows its head before the first event and each event before the end', async (t) => {
  let stream: http.ServerResponse | undefined
  const origin = await listen(
    t,
    http.createServer((_, response) => {
      stream = response
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    }),
  )
  const client = http.get({ port: await front(t, origin) })
  const answer = await once<http.IncomingMessage>(client, 'response')
  assert.equal(answer.headers['content-type'], 'text/event-stream')
  const first = once<Buffer>(answer, 'data')
  stream?.write('data: 1\n\n')
  assert.equal(String(await first), 'data: 1\n\n')
  client.destroy()
})

test('the head of a request goes out before its body has begun', async (t) => {
  const origin = await listen(
    t,
    http.createServer((request, response) => {
      response.flushHeaders()
      request.pipe(response)
    }),
  )
  const client = http.request({ port: await front(t, origin), method: 'POST' })
  client.flushHeaders()
  const answer = await once<http.IncomingMessage>(client, 'response')
  const echoed = once<Buffer>(answer, 'data')
  client.write('ping')
  assert.equal(String(await echoed), 'ping')
  client.end()
  assert.equal(await read(answer), '')
})

test('103 passes with each of its links, before the answer', async (t) => {
  const origin = await listen(
    t,
    http.createServer((_, response) => {
      response.writeEarlyHints({ link: ['</a.css>; rel=preload', '</b.js>; rel=preload'] })
      response.end('x')
    }),
  )
  const { text } = await raw(await front(t, origin), get('/'))
  assert.match(text, /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a.css>.*<\/b.js>.*\r\n\r\nHTTP\/1\.1 200 /i)
})

test('a flood of informational answers is a fault of the target', async (t) => {
  const origin = await listen(
    t,
    net.createServer((socket) => {
      socket.on('error', () => undefined)
      socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(17))
    }),
  )
  const { text } = await raw(await front(t, origin), get('/'))
  assert.match(text, /HTTP\/1\.1 502 [\s\S]*Too many informational/)
})

test('a client that waits for 100 gets it from the target, not from us', async (t) => {
  const server = http.createServer()
  let asked = 0
  server.on('checkContinue', (request, response) => {
    asked++
    response.writeContinue()
    request.pipe(response)
  })
  const port = await front(t, await listen(t, server))
  const client = http.request({
    port,
    method: 'POST',
    headers: { expect: '100-continue', 'content-length': 4 },
  })
  client.flushHeaders()
  await once(client, 'continue')
  assert.equal(asked, 1)
  const answered = once<http.IncomingMessage>(client, 'response')
  client.end('body')
  assert.equal(await read(await answered), 'body')
})

test('a target that refuses an expectation answers without having seen the body', async (t) => {
  const server = http.createServer()
  server.on('checkContinue', (_, response) => response.writeHead(417).end())
  const port = await front(t, await listen(t, server))
  const lines = ['Expect: 100-continue', 'Content-Length: 1000000']
  const { text } = await raw(port, request('POST', '/', lines))
  assert.match(text, /^HTTP\/1\.1 417 /)
})

test('trailers pass both ways, without those that would change the message', async (t) => {
  const origin = await listen(
    t,
    http.createServer((request, response) => {
      assert.equal(request.headers.te, 'trailers')
      request.resume().on('end', () => {
        response.writeHead(200, { trailer: 'x-down' })
        response.write(JSON.stringify(request.trailers))
        response.addTrailers([
          ['x-down', 'yes'],
          ['set-cookie', 'no=1'],
        ])
        response.end()
      })
    }),
  )
  const body = '1\r\na\r\n0\r\nX-Up: 1\r\nHost: other\r\nX_Held: 2\r\n\r\n'
  const lines = ['TE: trailers', 'Transfer-Encoding: chunked', 'Trailer: x-up']
  const port = await front(t, origin, { withheld: (name) => name === 'x-held' })
  const { text } = await raw(port, request('POST', '/', lines, body))
  assert.match(text, /\{"x-up":"1"\}/)
  assert.match(text, /\r\nTrailer: x-down\r\n/)
  assert.match(text, /\r\n0\r\nx-down: yes\r\n\r\n$/)
})

test('HEAD, 204 and 304 keep their headers and have no body', async (t) => {
  const origin = await listen(
    t,
    http.createServer((request, response) => {
      const status = Number(request.url?.slice(1))
      response.writeHead(status, status === 204 ? { etag: '"1"' } : { etag: '"1"', 'content-length': 12 })
      response.end(status === 200 ? 'twelve bytes' : undefined)
    }),
  )
  const port = await front(t, origin)
  const head = await raw(port, request('HEAD', '/200', []))
  assert.match(head.text, /^HTTP\/1\.1 200 [\s\S]*\r\nContent-Length: 12\r\n[\s\S]*\r\n\r\n$/)
  const noContent = await raw(port, get('/204'))
  assert.match(noContent.text, /^HTTP\/1\.1 204 [\s\S]*etag[\s\S]*\r\n\r\n$/)
  assert.doesNotMatch(noContent.text, /content-length|transfer-encoding/i)
  const unchanged = await raw(port, get('/304'))
  assert.match(unchanged.text, /^HTTP\/1\.1 304 [\s\S]*\r\nContent-Length: 12\r\n[\s\S]*\r\n\r\n$/)
  const chunkedHead = await raw(port, request('HEAD', '/304', []))
  assert.doesNotMatch(chunkedHead.text, /transfer-encoding/i)
})

test('an HTTP/1.0 client gets a chunked answer as plain bytes up to the end of the connection', async (t) => {
  const origin = await listen(
    t,
    http.createServer((_, response) => {
      response.write('one')
      response.end('two')
    }),
  )
  const { text, end } = await raw(await front(t, origin), 'GET / HTTP/1.0\r\nHost: app.example\r\n\r\n')
  assert.match(text, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nonetwo$/)
  assert.doesNotMatch(text, /chunked/)
  assert.equal(end, 'FIN')
})

test('headers of one hop stay on their hop, and Connection cannot take away what we set', async (t) => {
  const origin = await listen(
    t,
    http.createServer((request, response) => {
      const body = JSON.stringify(request.headers)
      const hop = { connection: 'x-inner', 'x-inner': '1', 'proxy-authenticate': 'Basic' }
      response.writeHead(200, { ...hop, 'content-length': body.length }).end(body)
    }),
  )
  const port = await front(t, origin, {
    set: ['Host', 'app.example', 'X-Forwarded-For', '192.0.2.1'],
    withheld: (name) => name.startsWith('x-forwarded'),
  })
  const answer = await raw(
    port,
    get(
      '/',
      'Connection: x-secret, x-forwarded-for',
      'X-Secret: 1',
      'X-Forwarded-For: 6.6.6.6',
      'X_Forwarded_For: 6.6.6.6',
      'X-Forwarded-Proto: gopher',
      'Proxy-Authorization: Basic eA==',
      'Keep-Alive: timeout=5',
      'TE: gzip',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
      'X-Kept: 1',
    ),
  )
  assert.deepEqual(bodyOf(answer), {
    host: 'app.example',
    'x-forwarded-for': '192.0.2.1',
    'x-kept': '1',
    connection: 'close',
  })
  assert.doesNotMatch(answer.text.split('\r\n\r\n')[0] ?? '', /x-inner|proxy-authenticate/i)
})

test('a connection that fails before it was used gives a problem document', async (t) => {
  const failed = () => {
    const duplex = new Duplex({ read: () => undefined })
    duplex.destroy(new TunnelError('AGENT_OFFLINE', 'Site "north".'))
    return duplex
  }
  for (const connect of [
    failed,
    () => Promise.reject(new TunnelError('AGENT_OFFLINE', 'Site "north".')),
    () => {
      throw new TunnelError('AGENT_OFFLINE', 'Site "north".')
    },
  ]) {
    const failures: string[] = []
    const answer = await raw(
      await front(t, 0, { connect, onFailure: ({ code }) => failures.push(code) }),
      get('/'),
    )
    assert.match(answer.text, /^HTTP\/1\.1 503 /)
    assert.match(answer.text, /\r\nContent-Type: application\/problem\+json\r\n/)
    assert.match(answer.text, /\r\nCache-Control: no-store\r\n/)
    const problem = bodyOf<Problem>(answer)
    assert.deepEqual(problem, {
      type: 'urn:sallyport:problem:AGENT_OFFLINE',
      title: 'No agent of this site is connected.',
      status: 503,
      code: 'AGENT_OFFLINE',
      leg: 'relay-agent',
      detail: 'Site "north".',
      actor: 'site administrator',
      next: 'on the site: sallyport agent status',
      traceId: '0123456789abcdef0123456789abcdef',
    })
    assert.deepEqual(failures, ['AGENT_OFFLINE'])
  }
})

test('a target that refuses, hangs up or talks nonsense gives a problem document that says so', async (t) => {
  const closed = net.createServer()
  const closedPort = await listen(t, closed)
  await new Promise((resolve) => closed.close(resolve))
  const expectations: [number, RegExp][] = [
    [closedPort, /CONNECTION_REFUSED/],
    [await listen(t, saying('')), /TARGET_RESET.*ended before/],
    [await listen(t, saying('SSH-2.0-OpenSSH_9\r\n')), /TARGET_RESET.*not valid HTTP/],
    [await listen(t, saying(`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(201)}\r\n`)), /too many headers/],
    [await listen(t, saying(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(66_000)}\r\n\r\n`)), /too large/],
    [
      await listen(t, saying('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab')),
      /not valid HTTP/,
    ],
    [
      await listen(
        t,
        saying('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
      ),
      /not valid HTTP/,
    ],
    [await listen(t, saying('HTTP/1.1 101 Hm\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')), /TARGET_RESET/],
  ]
  for (const [origin, expected] of expectations) {
    const { text } = await raw(await front(t, origin), get('/'))
    assert.match(text, /^HTTP\/1\.1 502 /)
    assert.match(text, expected)
  }
})

test('the problem document of a HEAD request is its head alone', async (t) => {
  const { text } = await raw(await front(t, await listen(t, saying(''))), request('HEAD', '/', []))
  assert.match(text, /^HTTP\/1\.1 502 [\s\S]*Content-Length: [1-9][\s\S]*\r\n\r\n$/)
})

test('half an answer is never taken for a whole one', async (t) => {
  const length = 'Content-Length: 100\r\n\r\nhalf'
  const chunked = 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'
  for (const version of ['1.1', '1.0']) {
    const head = `GET / HTTP/${version}\r\nHost: app.example\r\nConnection: close\r\n\r\n`
    for (const body of [length, chunked]) {
      const ended = await front(t, await listen(t, saying(`HTTP/1.1 200 OK\r\n${body}`)))
      assert.equal((await raw(ended, head)).end, 'RST', `${version} ${body}`)
    }
    for (const body of [length, chunked, 'Connection: close\r\n\r\nhalf']) {
      const { server, breakOff } = breakable(`HTTP/1.1 200 OK\r\n${body}`)
      const broken = await front(t, await listen(t, server))
      assert.equal((await raw(broken, head, breakOff)).end, 'RST', `${version} ${body}`)
    }
  }
})

test('a client that leaves takes the request to the target with it', async (t) => {
  for (const hasBegun of [true, false]) {
    const left = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    const origin = await listen(
      t,
      http.createServer((_, response) => {
        response.on('close', left.resolve)
        if (hasBegun) response.write('x')
        arrived.resolve()
      }),
    )
    const client = http.get({ port: await front(t, origin) })
    client.on('error', () => undefined)
    if (hasBegun) await once(client, 'response')
    await arrived.promise
    client.destroy()
    await left.promise
  }
})

test('a dial is given up when the client leaves', async (t) => {
  const dialled = Promise.withResolvers<AbortSignal>()
  const port = await front(t, 0, {
    connect: (signal) => {
      dialled.resolve(signal)
      return new Promise(() => undefined)
    },
  })
  const client = http.get({ port })
  client.on('error', () => undefined)
  const signal = await dialled.promise
  const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
  client.destroy()
  await aborted
  assert.equal((signal.reason as TunnelError).code, 'CANCELLED')
})

test('an early no reaches a client that is still sending, and the connection serves the next request', async (t) => {
  let requests = 0
  const origin = await listen(
    t,
    net.createServer((socket) => {
      const [status, text] = requests++ === 0 ? ['413 Too Large', 'too much'] : ['200 OK', 'next']
      socket.on('error', () => undefined).on('data', () => undefined)
      socket.once('data', () => {
        socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
      })
    }),
  )
  const port = await front(t, origin)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  const upload = http.request({ port, method: 'POST', agent, headers: { 'content-length': 2_000_000 } })
  upload.write(Buffer.alloc(1_000_000))
  const answer = await once<http.IncomingMessage>(upload, 'response')
  assert.equal(answer.statusCode, 413)
  upload.end(Buffer.alloc(1_000_000))
  assert.equal(await read(answer), 'too much')
  const next = http.get({ port, agent })
  assert.equal(await read(await once<http.IncomingMessage>(next, 'response')), 'next')
})

test('an answer that comes too early is never given to the next request', async (t) => {
  let connections = 0
  const origin = await listen(
    t,
    net.createServer((socket) => {
      connections++
      socket.on('error', () => undefined)
      const answer = (text: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`
      socket.once('data', () => socket.write(answer(`own ${connections}`) + answer('stolen')))
    }),
  )
  const port = await front(t, origin)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  for (const expected of ['own 1', 'own 2', 'own 3']) {
    const client = http.get({ port, agent })
    const answer = await once<http.IncomingMessage>(client, 'response')
    assert.equal(await read(answer), expected)
  }
  assert.equal(connections, 3)
})

function saying(text: string): net.Server {
  return net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(text))
  })
}
