import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { test } from 'node:test'
import { front, get, listen, once, raw, read, request } from './kit.ts'

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
