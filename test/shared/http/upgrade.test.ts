import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { TunnelError } from '../../../shared/errors.ts'
import { breakable, front, listen, once, raw } from './kit.ts'

const HANDSHAKE =
  'GET /chat HTTP/1.1\r\nHost: app.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n'
const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Own: 1\r\n\r\n'

test('a WebSocket talks both ways, with subprotocol and compression', async (t) => {
  const server = http.createServer()
  const sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } })
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)))
  const port = await front(t, await listen(t, server))
  const client = new WebSocket(`ws://127.0.0.1:${port}/chat`, ['v1'])
  await once(client, 'open')
  assert.equal(client.protocol, 'v1')
  assert.match(client.extensions, /permessage-deflate/)
  for (const size of [5, 200_000]) {
    const echoed = once<Buffer>(client, 'message')
    client.send(Buffer.alloc(size, 'x'))
    assert.equal((await echoed).length, size)
  }
  const closed = once<number>(client, 'close')
  client.close(4_001)
  assert.equal(await closed, 4_001)
})

test('what either side sends behind its handshake arrives, and each side ends for itself', async (t) => {
  const origin = await listen(
    t,
    net.createServer({ allowHalfOpen: true }, (socket) => {
      let heard = ''
      socket.on('data', (chunk) => {
        if (heard === '') socket.write(`${SWITCHING}early `)
        heard += chunk
      })
      // Answers only when the client has ended: a half-closed connection still carries the other half.
      socket.on('end', () => socket.end(`heard ${heard.split('\r\n\r\n')[1]}`))
    }),
  )
  const port = await front(t, origin)
  const socket = net.connect({ port, allowHalfOpen: true })
  socket.write(`${HANDSHAKE}\r\nhead `)
  let text = ''
  for await (const chunk of socket) {
    if (text === '') socket.end('bytes')
    text += chunk
  }
  assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n/)
  assert.match(text, /\r\nX-Own: 1\r\n/)
  assert.match(text, /\r\n\r\nearly heard head bytes$/)
})

test('the handshake reaches the target with its own Connection header and no hop-by-hop header of the client', async (t) => {
  const heads: string[] = []
  const origin = await listen(
    t,
    net.createServer((socket) => {
      socket.once('data', (chunk) => {
        heads.push(String(chunk))
        socket.end(`${SWITCHING}`)
      })
    }),
  )
  await raw(
    await front(t, origin),
    `${HANDSHAKE}Proxy-Authorization: Basic eA==\r\nSec-WebSocket-Key: a\r\n\r\n`,
  )
  assert.equal(
    heads[0],
    'GET /chat HTTP/1.1\r\nHost: app.example\r\nSec-WebSocket-Key: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  )
})

test('a target that refuses the handshake is heard to the last byte of a long answer', async (t) => {
  const origin = await listen(
    t,
    http.createServer().on('upgrade', (_, socket) => {
      const body = 'no'.repeat(500_000)
      socket.end(`HTTP/1.1 403 Forbidden\r\nContent-Length: ${body.length}\r\nX-Why: x\r\n\r\n${body}`)
    }),
  )
  const { text, end } = await raw(await front(t, origin), `${HANDSHAKE}\r\n`)
  assert.match(text, /^HTTP\/1\.1 403 Forbidden\r\nX-Why: x\r\n/)
  assert.match(text, /\r\nConnection: close\r\n/)
  assert.equal(text.split('\r\n\r\n')[1]?.length, 1_000_000)
  assert.equal(end, 'FIN')
})

test('a handshake that cannot be passed on gives a problem document', async (t) => {
  const connect = () => {
    throw new TunnelError('AGENT_OFFLINE')
  }
  const { text } = await raw(await front(t, 0, { connect }), `${HANDSHAKE}\r\n`)
  assert.match(text, /^HTTP\/1\.1 503 [\s\S]*problem\+json[\s\S]*AGENT_OFFLINE/)
})

test('a target that changes to another protocol than asked is refused', async (t) => {
  const origin = await listen(
    t,
    net.createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.write(SWITCHING.replace('websocket', 'h2c')))
    }),
  )
  const { text } = await raw(await front(t, origin), `${HANDSHAKE}\r\n`)
  assert.match(text, /^HTTP\/1\.1 502 [\s\S]*another protocol/)
})

test('a side that breaks off breaks the other, not ends it', async (t) => {
  const { server, breakOff } = breakable(SWITCHING)
  const port = await front(t, await listen(t, server))
  assert.equal((await raw(port, `${HANDSHAKE}\r\n`, breakOff)).end, 'RST')
  const broken = Promise.withResolvers<string | undefined>()
  server.once('connection', (connection: net.Socket) => {
    connection.on('error', (error: NodeJS.ErrnoException) => broken.resolve(error.code))
  })
  const socket = net.connect(port)
  socket.write(`${HANDSHAKE}\r\n`)
  await once(socket, 'data')
  socket.resetAndDestroy()
  assert.equal(await broken.promise, 'ECONNRESET')
})

test('a client that leaves during the handshake takes the connection to the target with it', async (t) => {
  const asked = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  const origin = await listen(
    t,
    net.createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', () => asked.resolve())
      socket.on('close', () => left.resolve())
    }),
  )
  const socket = net.connect(await front(t, origin))
  socket.write(`${HANDSHAKE}\r\n`)
  await asked.promise
  socket.destroy()
  await left.promise
})

test('another upgrade than WebSocket, or one with a body, is a plain request', async (t) => {
  const origin = await listen(
    t,
    http.createServer((request, response) => {
      const body = JSON.stringify(request.rawHeaders)
      response.writeHead(200, { 'content-length': body.length }).end(body)
    }),
  )
  const port = await front(t, origin)
  const head = 'Host: app.example\r\nConnection: Upgrade, close\r\n'
  for (const request of [
    `GET / HTTP/1.1\r\n${head}Upgrade: h2c\r\n\r\n`,
    `POST / HTTP/1.1\r\n${head}Upgrade: websocket\r\nContent-Length: 2\r\n\r\nhi`,
    `GET / HTTP/1.1\r\n${head}Upgrade: websocket\r\nContent-Length: 2\r\n\r\nhi`,
  ]) {
    const { text } = await raw(port, request)
    assert.match(text, /^HTTP\/1\.1 200 /)
    assert.doesNotMatch(text, /upgrade/i)
  }
})
