import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type net from 'node:net'
import { describe, it } from 'node:test'
import WebSocket, { WebSocketServer } from 'ws'
import { headBytes, OPCODE, WebSocketReader, writeHead } from '../../shared/wire/websocket.ts'
import { eventually, within } from '../support/deadline.ts'
import { dial } from '../support/tcp-kit.ts'
import { type EchoServer, runEchoClient, startEchoServer } from './websocket-echo.ts'

/**
 * The RFC 6455 frames that the tunnel reads and writes itself, beside the `ws` library, an independent reader and writer of
 * the same RFC. test/security/autobahn.ts asks a third one, and docs/checks.md says what came out.
 */

/** Round every length at which the head of a frame changes its form. */
const LENGTHS = [0, 1, 124, 125, 126, 127, 128, 1_000, 32_767, 32_768, 65_534, 65_535]

const CLOSE_OPCODE = 0x8

/** A frame of a client with any first byte and any length form. */
function maskedFrame(first: number, payload: Uint8Array, mask = randomBytes(4)): Buffer {
  const head =
    payload.length < 126
      ? Buffer.from([first, 0x80 | payload.length])
      : Buffer.from([first, 0xfe, payload.length >>> 8, payload.length & 0xff])
  const masked = payload.map((byte, index) => byte ^ (mask[index & 3] ?? 0))
  return Buffer.concat([head, mask, masked])
}

function closeFrame(code: number, reason: Uint8Array = Buffer.alloc(0)): Buffer {
  return maskedFrame(0x80 | CLOSE_OPCODE, Buffer.concat([Buffer.from([code >>> 8, code & 0xff]), reason]))
}

async function upgraded(server: EchoServer) {
  const end = await dial(server.port)
  end.socket.setNoDelay(true)
  end.socket.write(
    [
      'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n',
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    ].join(''),
  )
  await end.has(1)
  while (!end.received().includes('\r\n\r\n')) await end.has(end.received().length + 1)
  const from = end.received().indexOf('\r\n\r\n') + 4
  return { end, answer: () => end.received().subarray(from) }
}

/** The code of the CLOSE with which the server answers raw bytes. */
async function closeAnswerTo(bytes: Uint8Array, piece = bytes.length): Promise<number> {
  await using server = await startEchoServer()
  const { end, answer } = await upgraded(server)
  for (let at = 0; at < bytes.length; at += piece) end.socket.write(bytes.subarray(at, at + piece))
  await end.finished
  end.socket.end()
  const said = answer()
  const at = said.lastIndexOf(Buffer.from([0x80 | CLOSE_OPCODE, 2]))
  assert.ok(at >= 0, `no CLOSE in ${said.toString('hex')}`)
  return said.readUInt16BE(at + 2)
}

/** Sends the messages by `socket` one after the other. @returns what came back */
async function echoesOf(socket: WebSocket, messages: readonly Buffer[]): Promise<Buffer[]> {
  const echoes: Buffer[] = []
  socket.on('message', (echo) => echoes.push(echo as Buffer))
  for (const message of messages) socket.send(message)
  while (echoes.length < messages.length) await within(once(socket, 'message'), 'an echo')
  return echoes
}

describe("the tunnel's frames beside those of ws", () => {
  const messages = LENGTHS.map((length) => randomBytes(length))

  it('as the server: every length comes and goes, PING is answered, CLOSE is answered', async () => {
    await using server = await startEchoServer()
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}`, { perMessageDeflate: false })
    await within(once(socket, 'open'), 'the upgrade')
    assert.deepEqual(await echoesOf(socket, messages), messages)
    const pong = once(socket, 'pong')
    socket.ping(Buffer.from('are you there'))
    assert.equal(String((await within(pong, 'PONG'))[0]), 'are you there')
    socket.close(1000, 'done')
    assert.equal((await within(once(socket, 'close'), 'CLOSE'))[0], 1000)
  })

  for (const mask of ['zero', 'random'] as const) {
    it(`as the client with a ${mask} mask: every length comes and goes, PING and CLOSE are answered`, async () => {
      const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
      await once(server, 'listening')
      const accepted = once(server, 'connection')
      const ended = runEchoClient(`ws://127.0.0.1:${(server.address() as net.AddressInfo).port}`, mask)
      const [socket] = (await within(accepted, 'a client')) as [WebSocket]
      assert.deepEqual(await echoesOf(socket, messages), messages)
      const pong = once(socket, 'pong')
      socket.ping(Buffer.alloc(125, 7))
      assert.equal((await within(pong, 'PONG'))[0].length, 125)
      socket.close(4321)
      assert.equal((await within(once(socket, 'close'), 'CLOSE'))[0], 1000)
      assert.equal((await within(ended, 'the end')).detail, 'the peer closed with 4321')
      server.close()
    })
  }

  it('come back the same when they come byte by byte, and PONGs nobody asked for are passed over', async () => {
    await using server = await startEchoServer()
    const { end, answer } = await upgraded(server)
    const steps: [question: Buffer, answer: Buffer][] = [
      [maskedFrame(0x8a, Buffer.from('unasked')), Buffer.alloc(0)],
      [
        maskedFrame(0x82, Buffer.alloc(200, 1)),
        Buffer.concat([Buffer.from([0x82, 126, 0, 200]), Buffer.alloc(200, 1)]),
      ],
      [maskedFrame(0x89, Buffer.from('ping')), Buffer.concat([Buffer.from([0x8a, 4]), Buffer.from('ping')])],
      [maskedFrame(0x82, Buffer.alloc(0)), Buffer.from([0x82, 0])],
    ]
    let expected = Buffer.alloc(0)
    for (const [question, step] of steps) {
      for (const byte of question) end.socket.write(Buffer.from([byte]))
      expected = Buffer.concat([expected, step])
      await eventually(() => answer().length >= expected.length, 'an answer')
    }
    end.socket.end(closeFrame(1000))
    await end.finished
    const said = answer()
    assert.deepEqual(said, Buffer.concat([expected, Buffer.from([0x88, 2, 0x03, 0xe8])]))
  })
})

/** Each ends the connection by a CLOSE with 1002 (RFC 6455 section 7.4.1). */
const OFFENCES: Record<string, Buffer> = {
  'a text message, which the protocol has no use for': maskedFrame(0x81, Buffer.from('hello')),
  'a first fragment': maskedFrame(0x02, Buffer.from('part')),
  'a continuation without a begin': maskedFrame(0x80, Buffer.from('part')),
  'a fragment of a PING': maskedFrame(0x09, Buffer.from('part')),
  'reserved bit 1': maskedFrame(0xc2, Buffer.from('x')),
  'reserved bit 2': maskedFrame(0xa2, Buffer.from('x')),
  'reserved bit 3': maskedFrame(0x92, Buffer.from('x')),
  'a PING of 126 bytes': maskedFrame(0x89, Buffer.alloc(126)),
  'a CLOSE of 126 bytes': closeFrame(1000, Buffer.alloc(124, 0x61)),
  'a message without a mask': Buffer.from([0x82, 1, 0x78]),
  'a length of 126 in the long form of nothing': Buffer.from([0x82, 0xfe, 0, 125, 0, 0, 0, 0]),
  'a length in 64 bits': Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
  'a length in 64 bits with the highest bit': Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),
  'a CLOSE of one byte': maskedFrame(0x88, Buffer.from([3])),
  'a CLOSE whose reason is no UTF-8': closeFrame(1000, Buffer.from('cebaeda080', 'hex')),
  ...Object.fromEntries(
    [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map((code) => [
      `a CLOSE with ${code}`,
      closeFrame(code),
    ]),
  ),
  ...Object.fromEntries(
    [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf].map((opcode) => [
      `opcode ${opcode}`,
      maskedFrame(0x80 | opcode, Buffer.alloc(0)),
    ]),
  ),
}

describe('what RFC 6455 or the tunnel does not allow', () => {
  for (const [offence, bytes] of Object.entries(OFFENCES)) {
    it(`${offence} closes with 1002, whole and byte by byte`, async () => {
      assert.equal(await closeAnswerTo(bytes), 1002)
      assert.equal(await closeAnswerTo(bytes, 1), 1002)
    })
  }

  it('a CLOSE with a code that may be said is answered, with a reason and without', async () => {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999]) {
      assert.equal(await closeAnswerTo(closeFrame(code)), 1000)
    }
    assert.equal(await closeAnswerTo(closeFrame(1000, Buffer.from('κόσμε'))), 1000)
    assert.equal(await closeAnswerTo(maskedFrame(0x88, Buffer.alloc(0))), 1000)
  })

  it('a client refuses what is masked', () => {
    const reader = new WebSocketReader({ payload() {}, messageEnd() {}, ping() {}, close() {} }, false)
    assert.throws(() => reader.push(maskedFrame(0x82, Buffer.from('x'))), { code: 'PROTOCOL' })
  })
})

it('the head of a frame has the length that was foretold, masked and not', () => {
  for (const length of LENGTHS) {
    for (const mask of [undefined, Uint8Array.of(1, 2, 3, 4)]) {
      const head = Buffer.alloc(14, 0xee)
      writeHead(head, 0, OPCODE.binary, length, mask)
      const end = headBytes(length, mask !== undefined)
      assert.ok(head.subarray(end).every((byte) => byte === 0xee))
      if (mask !== undefined) assert.deepEqual([...head.subarray(end - 4, end)], [...mask])
    }
  }
})
