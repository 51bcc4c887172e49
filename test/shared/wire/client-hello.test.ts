import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import net from 'node:net'
import { describe, it } from 'node:test'
import tls from 'node:tls'
import fc from 'fast-check'
import { ClientHelloReader, type ClientHelloView } from '../../../shared/wire/client-hello.ts'
import { within } from '../../support/deadline.ts'

function u16(number: number): number[] {
  return [number >>> 8, number & 0xff]
}

function vector(width: 1 | 2 | 3, bytes: readonly number[]): number[] {
  const { length } = bytes
  return [length >>> 16, length >>> 8, length]
    .slice(3 - width)
    .map((byte) => byte & 0xff)
    .concat(bytes)
}

function extension(type: number, content: readonly number[]): number[] {
  return [...u16(type), ...vector(2, content)]
}

function serverName(name: string | readonly number[], type = 0): number[] {
  const bytes = typeof name === 'string' ? [...Buffer.from(name, 'latin1')] : name
  return extension(0, vector(2, [type, ...vector(2, bytes)]))
}

const OTHERS = [...extension(0x0a, [0, 2, 0, 0x1d]), ...extension(0x2b, [2, 3, 4])]

/** A ClientHello message (RFC 8446 section 4.1.2); without extensions it ends where they would begin. */
function message(extensions: readonly number[] | undefined, sessionId: readonly number[] = [1, 2]): number[] {
  const body = [3, 3, ...Array<number>(32).fill(7), ...vector(1, sessionId), ...vector(2, [0x13, 1]), 1, 0]
  return [1, ...vector(3, extensions === undefined ? body : [...body, ...vector(2, extensions)])]
}

/** The message in records of at most `size` bytes. */
function records(bytes: readonly number[], size = 16_384): Uint8Array {
  const parts: number[] = []
  for (let at = 0; at < bytes.length; at += size) {
    parts.push(22, 3, 1, ...vector(2, bytes.slice(at, at + size)))
  }
  return Uint8Array.from(parts)
}

function view(bytes: Uint8Array): ClientHelloView {
  return new ClientHelloReader().push(bytes)
}

/** The first bytes that `client` sends to a server that stays silent. */
async function firstBytes(client: (port: number) => () => void): Promise<Buffer> {
  const got = Promise.withResolvers<Buffer>()
  const server = net.createServer((socket) => {
    const chunks: Buffer[] = []
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      const all = Buffer.concat(chunks)
      if (view(all) !== 'more') got.resolve(all)
    })
    socket.on('close', () => got.reject(new Error(`${Buffer.concat(chunks).length} bytes and the end`)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const end = client((server.address() as net.AddressInfo).port)
  try {
    return await within(got.promise, 'a ClientHello')
  } finally {
    end()
    server.close()
  }
}

function nodeHello(options: tls.ConnectionOptions): Promise<Buffer> {
  return firstBytes((port) => {
    const socket = tls.connect({ port, host: '127.0.0.1', ...options })
    socket.on('error', () => undefined)
    return () => socket.destroy()
  })
}

function opensslHello(...options: string[]): Promise<Buffer> {
  return firstBytes((port) => {
    const args = ['s_client', '-connect', `127.0.0.1:${port}`, ...options]
    const child = spawn('openssl', args, { stdio: ['pipe', 'ignore', 'ignore'] })
    return () => child.kill()
  })
}

describe('the server name of a ClientHello', () => {
  const hello = message([...OTHERS, ...serverName('DB.Example.org'), ...OTHERS.slice(0, 0)])

  it('is found and put in lower case', () => {
    assert.deepEqual(view(records(hello)), { serverName: 'db.example.org' })
    assert.deepEqual(view(records(message(serverName('a')))), { serverName: 'a' })
  })

  it('may be absent', () => {
    for (const none of [message(undefined), message([]), message(OTHERS)])
      assert.deepEqual(view(records(none)), {})
  })

  it('is found at every cut of the bytes in two, and byte by byte', () => {
    for (const size of [16_384, 50, 3, 1]) {
      const bytes = records(hello, size)
      for (let cut = 0; cut < bytes.length; cut++) {
        const reader = new ClientHelloReader()
        assert.equal(reader.push(bytes.subarray(0, cut)), 'more')
        assert.deepEqual(reader.push(bytes.subarray(cut)), { serverName: 'db.example.org' })
      }
      const reader = new ClientHelloReader()
      const views = Array.from(bytes, (byte) => reader.push(Uint8Array.of(byte)))
      assert.equal(
        views.findIndex((one) => one !== 'more'),
        bytes.length - 1,
      )
      assert.deepEqual(views.at(-1), { serverName: 'db.example.org' })
    }
  })

  it('stays what it was, whatever follows', () => {
    const reader = new ClientHelloReader()
    assert.deepEqual(reader.push(Buffer.concat([records(hello), Buffer.alloc(40_000)])), {
      serverName: 'db.example.org',
    })
    assert.deepEqual(reader.push(records(message(serverName('other')))), { serverName: 'db.example.org' })
  })

  it('is none where the name is no plain text', () => {
    for (const name of ['a b', 'ä.example', 'a\0b', 'a\n'])
      assert.deepEqual(view(records(message(serverName(name)))), {})
  })

  it('is refused where two readers could see two names', () => {
    const two = vector(2, [0, ...vector(2, [97]), 0, ...vector(2, [98])])
    const wrong = [
      [...serverName('a'), ...serverName('b')],
      [...serverName('a'), ...serverName('a')],
      extension(0, two),
      serverName(''),
      serverName('a', 1),
      serverName('a'.repeat(256)),
      extension(0, []),
      extension(0, [...vector(2, [0, ...vector(2, [97])]), 0]),
      [...OTHERS, 0],
      [...OTHERS, 0, 0, 0, 9, 1],
    ]
    for (const extensions of wrong)
      assert.equal(view(records(message(extensions))), 'not-tls', `${extensions}`)
  })

  it('is not looked for where the first bytes are none of TLS', () => {
    for (const text of ['GET / HTTP/1.1\r\n', 'SSH-2.0-x\r\n', '\x80\x2e\x01\x03\x01', '\x16\x02']) {
      assert.equal(view(Buffer.from(text, 'latin1')), 'not-tls')
    }
    assert.equal(view(Uint8Array.of(22, 3, 1, 0, 0)), 'not-tls', 'an empty record')
    assert.equal(view(Uint8Array.of(22, 3, 1, 0x40, 1)), 'not-tls', 'a record that is too long')
    assert.equal(view(Uint8Array.of(22, 3, 1, 0, 4, 2)), 'not-tls', 'a ServerHello')
    assert.equal(view(Uint8Array.of(22, 3, 1, 0, 4, 1, 0, 0, 33)), 'not-tls', 'a message that is too short')
    assert.equal(view(records(message(OTHERS, Array<number>(33).fill(0)))), 'not-tls', 'a long session id')
    const whole = message(OTHERS)
    const short = [...whole.slice(0, 3), (whole[3] as number) - 1, ...whole.slice(4)]
    assert.equal(view(records(short)), 'not-tls', 'extensions longer than the message')
  })

  it('is given up after 16 KiB, announced or sent', () => {
    assert.equal(view(Uint8Array.of(22, 3, 1, 0, 4, 1, 0, 0x40, 1)), 'not-tls')
    const long = records(message([...extension(21, Array<number>(3_000).fill(0)), ...serverName('a')]), 1)
    assert.ok(long.length > 16_384)
    const reader = new ClientHelloReader()
    assert.equal(reader.push(long.subarray(0, 16_383)), 'more')
    assert.equal(reader.push(long.subarray(16_383, 16_384)), 'not-tls')
  })

  it('never throws, and answers alike however the bytes are cut', () => {
    const start = records(hello)
    const noise = fc.tuple(fc.nat(start.length), fc.uint8Array({ maxLength: 200 }))
    fc.assert(
      fc.property(noise, fc.integer({ min: 1, max: 40 }), ([keep, tail], size) => {
        const bytes = Buffer.concat([start.subarray(0, keep), tail])
        const reader = new ClientHelloReader()
        let last: ClientHelloView = 'more'
        for (let at = 0; at < bytes.length; at += size) last = reader.push(bytes.subarray(at, at + size))
        assert.deepEqual(last, view(bytes))
      }),
    )
  })

  it('is that of the ClientHello of node', async () => {
    assert.deepEqual(view(await nodeHello({ servername: 'erp.example.org' })), {
      serverName: 'erp.example.org',
    })
    assert.deepEqual(view(await nodeHello({ servername: 'a.b', maxVersion: 'TLSv1.2' })), {
      serverName: 'a.b',
    })
    assert.deepEqual(view(await nodeHello({})), {})
  })

  it('is that of the ClientHello of openssl', async (t) => {
    const isThere = await new Promise((resolve) => {
      spawn('openssl', ['version'], { stdio: 'ignore' })
        .once('error', () => resolve(false))
        .once('exit', (status) => resolve(status === 0))
    })
    if (isThere === false) {
      t.skip('no openssl')
      return
    }
    assert.deepEqual(view(await opensslHello('-servername', 'Mail.Example.org')), {
      serverName: 'mail.example.org',
    })
    assert.deepEqual(view(await opensslHello('-noservername')), {})
    const names = ['x', 'y', 'z'].map((letter) => letter.repeat(200)).join()
    const split = await opensslHello('-servername', 'split.example', '-max_send_frag', '512', '-alpn', names)
    assert.equal(split.readUInt16BE(3), 512, 'it came in several records')
    assert.deepEqual(view(split), { serverName: 'split.example' })
  })
})
