import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import { test } from 'node:test'
import { bodyOf, front, get, listen, once, raw, request } from './kit.ts'

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
