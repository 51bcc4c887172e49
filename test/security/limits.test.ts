import assert from 'node:assert/strict'
import http from 'node:http'
import type net from 'node:net'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { eventually, within } from '../support/deadline.ts'
import { connectHostile, type HostilePeer } from '../support/hostile-peer.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { tcpEnd } from '../support/tcp-kit.ts'

/** S19: what is too long, too often or too many, at the web's door and inside a tunnel. */

const PROTOCOL_ERROR = 1002
const MIB = 1024 * 1024
const HOST = 'web.example.org'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes that this process needs when all garbage is collected; it holds the relay. */
function liveBytes(): number {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** A frame of a client under a mask of zeros. */
function frame(first: number, payload: Buffer): Buffer {
  const { length } = payload
  const head =
    length < 126
      ? Buffer.from([first, 0x80 | length])
      : length < 65_536
        ? Buffer.from([first, 0xfe, length >>> 8, length & 0xff])
        : Buffer.concat([Buffer.from([first, 0xff, 0, 0, 0, 0]), uint32(length)])
  return Buffer.concat([head, Buffer.alloc(4), payload])
}

function uint32(number: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(number)
  return bytes
}

/** The connection below the library, which would not send such things. */
function rawOf(peer: HostilePeer): net.Socket {
  const { _socket: socket } = peer.socket as unknown as { _socket: net.Socket }
  return socket
}

describe('S19: at the door for the web', () => {
  let kit: RelayKit
  let origin: http.Server
  let requests = 0

  before(async () => {
    kit = await startKit()
    origin = http.createServer((_request, response) => {
      requests++
      response.end('page')
    })
    await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
    const { port } = origin.address() as net.AddressInfo
    const rule = `protocol = "http"\nhost = "127.0.0.1"\nport = ${port}\nallow_loopback = true`
    await kit.startAgent({ rules: { web: rule } })
    await kit.command('publication.add', { resource: 'berlin/web', kind: 'host', address: HOST })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    origin.close()
  })

  const ask = async (text: string) => {
    const ca = kit.relay.authority.authority.certificate.toString()
    const socket = tls.connect({ port: kit.port, host: '127.0.0.1', servername: HOST, ca })
    const client = tcpEnd(socket)
    await within(new Promise((resolve) => socket.once('secureConnect', resolve)), 'TLS')
    socket.write(text)
    return (await client.closed).bytes.toString()
  }

  for (const [name, headers] of Object.entries({
    'a header of 17 KiB': `X-Long: ${'a'.repeat(17 * 1024)}\r\n`,
    '3,000 headers': 'X-A: b\r\n'.repeat(3_000),
    '1,000 headers that are short enough together': 'A: b\r\n'.repeat(1_000),
    'a header name of 17 KiB': `${'a'.repeat(17 * 1024)}: b\r\n`,
  })) {
    it(`${name}: 431 with a problem document, and no word to the target`, async () => {
      const answer = await ask(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n${headers}\r\n`)
      assert.match(answer, /^HTTP\/1\.1 431 [\s\S]*HTTP_HEADERS_TOO_LARGE/)
      assert.equal(requests, 0)
    })
  }

  it('a request line of 17 KiB: refused as well', async () => {
    const answer = await ask(`GET /${'a'.repeat(17 * 1024)} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)
    assert.match(answer, /^HTTP\/1\.1 431 /)
  })
})

describe('S19: inside a tunnel', () => {
  let kit: RelayKit
  let credentials: ConnectorCredentials
  let settled: number

  before(async () => {
    kit = await startKit()
    credentials = await kit.credentials('hostile', 'berlin/echo')
    const first = await connectHostile(credentials)
    first.socket.terminate()
    settled = liveBytes()
  })

  after(() => kit[Symbol.asyncDispose]())

  const assertFlat = async () => {
    await eventually(() => kit.relay.sessions.list().length === 0, 'no session is left')
    const grown = liveBytes() - settled
    assert.ok(grown < 8 * MIB, `${Math.round(grown / MIB)} MiB more than before`)
  }

  for (const [name, bytes] of Object.entries({
    'a message of 2 MiB': frame(0x82, Buffer.alloc(2 * MIB)),
    'a CLOSE with a reason of 1 MiB': frame(
      0x88,
      Buffer.concat([Buffer.from([3, 0xe8]), Buffer.alloc(MIB, 97)]),
    ),
    '131,000 continuations of one byte': Buffer.concat([
      frame(0x02, Buffer.from('x')),
      ...Array.from({ length: 131_000 }, () => frame(0x00, Buffer.from('x'))),
    ]),
    'a length of 2^62': Buffer.from([0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0]),
  })) {
    it(`${name} closes with 1002, and nothing of it is kept`, async () => {
      const peer = await connectHostile(credentials)
      rawOf(peer).write(bytes)
      assert.equal(await peer.closed, PROTOCOL_ERROR)
      await assertFlat()
    })
  }

  it('10,000 PINGs of 125 bytes are answered or passed over, also where nobody reads the answers', async () => {
    const ping = frame(0x89, Buffer.alloc(125, 1))
    const peer = await connectHostile(credentials)
    let pongs = 0
    peer.socket.on('pong', () => pongs++)
    rawOf(peer).write(Buffer.concat(Array.from({ length: 10_000 }, () => ping)))
    await eventually(() => pongs > 0, 'a PONG')
    const deaf = await connectHostile(credentials)
    rawOf(deaf).pause()
    for (let round = 0; round < 20; round++)
      rawOf(deaf).write(Buffer.concat(Array.from({ length: 10_000 }, () => ping)))
    await eventually(() => rawOf(deaf).writableLength === 0, 'the relay has read them')
    peer.socket.ping('still there?')
    const [session] = kit.relay.sessions.list()
    assert.ok(session?.session.isOpen)
    // What this side wrote is free a little later; what the relay kept for a reader that never comes would stay.
    await eventually(() => liveBytes() - settled < 16 * MIB, 'what was read is free again')
    peer.socket.terminate()
    deaf.socket.terminate()
    await assertFlat()
  })
})
