import assert from 'node:assert/strict'
import https from 'node:https'
import net from 'node:net'
import { Duplex } from 'node:stream'
import { type TestContext, test } from 'node:test'
import tls, { type TLSSocket } from 'node:tls'
import { generate } from 'selfsigned'
import { ADMISSION_LIMITS, Admission, type AdmissionLimits } from '../../../relay/gateway/admission.ts'
import { createArrive } from '../../../relay/gateway/arrival.ts'
import { guardFrontDoor } from '../../../relay/gateway/front-door.ts'
import { realEffects } from '../../../shared/effects.ts'
import { HTTP_SERVER_OPTIONS, hardenServer } from '../../../shared/http/server.ts'
import type { Cidr } from '../../../shared/policy/cidr.ts'
import { eventually, within } from '../../support/deadline.ts'
import { recordLog } from '../../support/recorded-log.ts'
import { dial, tcpEnd } from '../../support/tcp-kit.ts'

const { private: key, cert } = await generate([{ name: 'commonName', value: 'relay.example' }], {
  keyType: 'ec',
  extensions: [
    { name: 'basicConstraints', cA: true },
    { name: 'subjectAltName', altNames: [{ type: 2, value: 'relay.example' }] },
  ],
})

/** An HTTPS server behind the door; nothing is passed through. */
async function door(
  t: TestContext,
  limits: Partial<AdmissionLimits> = {},
  { headersTimeout = 10_000, proxies = [] as readonly Cidr[] } = {},
) {
  const { log } = recordLog()
  const admission = new Admission({ limits: { ...ADMISSION_LIMITS, ...limits }, effects: realEffects, log })
  const server = https.createServer({
    ...HTTP_SERVER_OPTIONS,
    ...{ key, cert, ca: cert, headersTimeout, connectionsCheckingInterval: 20 },
    requestCert: true,
    rejectUnauthorized: true,
  })
  hardenServer(server)
  const names: string[] = []
  const guarded = guardFrontDoor(server, {
    ...{ admission, effects: realEffects, log },
    arrive: createArrive({ proxies, effects: realEffects, log }),
    passThrough: (name) => {
      names.push(name)
      return undefined
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
    guarded.closePending()
  })
  return { server, admission, guarded, names, port: (server.address() as net.AddressInfo).port }
}

function secureOptions(port: number) {
  return { port, host: '127.0.0.1', servername: 'relay.example', key, cert, ca: cert }
}

async function secure(port: number, options: tls.ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = tls.connect({ ...secureOptions(port), ...options })
  socket.on('error', () => undefined)
  await within(new Promise((resolve) => socket.once('secureConnect', resolve)), 'TLS')
  return socket
}

/** Resolves when all have gone from the counts. */
function nobodyLeft(admission: Admission): Promise<void> {
  const isEmpty = () => admission.counts.pending === 0 && admission.counts.visitors === 0
  return eventually(isEmpty, 'the counts at 0')
}

test('TLS lies on the native connection, and knows its client as without the door', async (t) => {
  const { server, port, names, guarded } = await door(t)
  const accepted = new Promise<TLSSocket>((resolve) => server.once('secureConnection', resolve))
  const client = await secure(port)
  const socket = await within(accepted, 'the connection')
  const { _handle: handle } = socket as unknown as {
    _handle: { constructor: { name: string }; _parent: object }
  }
  assert.equal(handle.constructor.name, 'TLSWrap')
  assert.equal(handle._parent.constructor.name, 'TCP')
  assert.equal(socket.authorized, true)
  assert.match(socket.getPeerX509Certificate()?.subject ?? '', /relay\.example/)
  assert.equal(socket.remoteAddress, '127.0.0.1')
  assert.equal(socket.remotePort, client.localPort)
  assert.equal(socket.servername, 'relay.example')
  assert.equal(socket.allowHalfOpen, false)
  assert.equal(guarded.ticketOf(socket)?.standing, 'pending')
  assert.deepEqual(names, ['relay.example'])
  client.destroy()
})

test('a ClientHello that comes byte by byte is served as any other', async (t) => {
  const { server, port, admission } = await door(t)
  server.on('request', (_request, response) => response.end('served'))
  const dripping = net.connect({ port, host: '127.0.0.1', noDelay: true })
  const client = tcpEnd(await secure(port, { socket: drip(dripping) }))
  client.socket.write('GET / HTTP/1.1\r\nHost: relay.example\r\nConnection: close\r\n\r\n')
  await client.finished
  assert.match(client.received().toString(), /served$/)
  dripping.destroy()
  await nobodyLeft(admission)
})

/** What is written goes out byte by byte. */
function drip(below: net.Socket): Duplex {
  const dripping = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      for (let at = 0; at + 1 < chunk.length; at++) below.write(chunk.subarray(at, at + 1))
      below.write(chunk.subarray(chunk.length - 1), () => done())
    },
  })
  below.on('data', (chunk) => dripping.push(chunk))
  below.on('end', () => dripping.push(null))
  return dripping
}

test('a connection that says nothing, half a ClientHello or stops in the handshake is closed in time', async (t) => {
  const { port, admission } = await door(t, { handshakeMs: 400 })
  const hello = await clientHello()
  const silent = await dial(port)
  const half = await dial(port)
  half.socket.write(hello.subarray(0, 100))
  const stopped = await dial(port)
  stopped.socket.write(hello)
  for (const end of [silent, half, stopped]) await end.finished
  assert.ok(stopped.received().length > 500, 'the server had answered')
  await nobodyLeft(admission)
})

test('a slow head is cut by the HTTPS server itself', async (t) => {
  const { port, admission } = await door(t, {}, { headersTimeout: 100 })
  const silent = tcpEnd(await secure(port))
  const half = tcpEnd(await secure(port))
  half.socket.write('GET / HTTP/1.1\r\nHost: relay')
  assert.match((await half.closed).bytes.toString(), /^HTTP\/1\.1 408 /)
  assert.match((await silent.closed).bytes.toString(), /^(?:HTTP\/1\.1 408 |$)/)
  await nobodyLeft(admission)
})

test('a client that takes its answer and stays is closed', async (t) => {
  const { server, port, admission } = await door(t, { headersMs: 200, bodyMs: 50, answerMs: 50 })
  server.on('request', (_request, response) => response.end('served'))
  const client = tcpEnd(await secure(port))
  client.socket.write('GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n')
  assert.match((await client.closed).bytes.toString(), /served$/)
  await nobodyLeft(admission)
})

test('what a connection became decides whether it may stay', async (t) => {
  const { server, port, admission, guarded } = await door(t, { headersMs: 1, bodyMs: 1, answerMs: 1 })
  for (const become of ['visit', 'prove'] as const) {
    const accepted = new Promise<TLSSocket>((resolve) => {
      server.once('secureConnection', (socket: TLSSocket) => {
        guarded.ticketOf(socket)?.[become]()
        resolve(socket)
      })
    })
    const client = await secure(port)
    const socket = await accepted
    // Whoever had come later and stayed pending is gone by now.
    const other = tcpEnd(await secure(port))
    await other.closed
    assert.equal(socket.destroyed, false, become)
    client.destroy()
  }
  await nobodyLeft(admission)
})

test('rubbish, other versions, a missing certificate, ends and resets at any point harm nobody', async (t) => {
  const { server, port, admission } = await door(t)
  server.on('request', (_request, response) => response.end('served'))
  const hello = await clientHello()
  const starts = [
    Buffer.from('GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n'),
    Buffer.alloc(70_000, 0x16),
    Buffer.alloc(0),
    hello.subarray(0, 1),
    hello.subarray(0, 200),
    Buffer.concat([hello.subarray(0, 60), Buffer.alloc(3_000, 0xff)]),
    hello,
    Buffer.concat([hello, Buffer.alloc(100, 0x17)]),
  ]
  for (const start of starts) {
    const ended = await dial(port)
    ended.socket.end(start)
    await ended.closed
    const reset = await dial(port)
    reset.socket.write(start, () => reset.socket.resetAndDestroy())
    await reset.closed
  }
  const old = tls.connect({ ...secureOptions(port), maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1' })
  await tcpEnd(old).closed
  const { key: _key, cert: _cert, ...anonymous } = secureOptions(port)
  await tcpEnd(tls.connect(anonymous)).closed
  await nobodyLeft(admission)
  const good = tcpEnd(await secure(port))
  good.socket.write('GET / HTTP/1.1\r\nHost: relay.example\r\nConnection: close\r\n\r\n')
  assert.match((await good.closed).bytes.toString(), /served$/)
})

test('one too many is reset before it said anything, and room is there again when one goes', async (t) => {
  const { port, admission } = await door(t, { pendingPerAddress: 2 })
  const first = await dial(port)
  const second = await dial(port)
  await eventually(() => admission.counts.pending === 2, 'two at the door')
  const third = await dial(port)
  assert.equal((await third.closed).end, 'RST')
  first.socket.resetAndDestroy()
  await eventually(() => admission.counts.pending === 1, 'one less')
  const client = await secure(port)
  assert.ok(client.authorized)
  client.destroy()
  second.socket.destroy()
  await nobodyLeft(admission)
})

/** The first bytes of a client of TLS 1.3. */
async function clientHello(): Promise<Buffer> {
  const got = Promise.withResolvers<Buffer>()
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (chunk) => {
      got.resolve(chunk)
      socket.destroy()
      server.close()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = tls.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' })
  client.on('error', () => undefined)
  return within(got.promise, 'a ClientHello')
}
