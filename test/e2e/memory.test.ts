import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import type net from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { TunnelDuplex } from '../../connector/index.ts'
import type { Stream } from '../../shared/mux/stream.ts'
import type { StreamHandler } from '../../shared/mux/stream-handler.ts'
import { INITIAL_WINDOW } from '../../shared/mux/window.ts'
import { eventually } from '../support/deadline.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { dial, listenTarget, type TcpTarget } from '../support/tcp-kit.ts'

const STALLED = 16
const MIB = 1024 * 1024
/** So many looks without a byte between them count as standstill. */
const STILL_LOOKS = 20
const BLOCK = randomBytes(64 * 1024)

/** Writes as fast as it is taken, for ever. */
function pour(socket: net.Socket): void {
  const more = () => {
    while (!socket.destroyed && socket.write(BLOCK));
  }
  socket.on('drain', more)
  more()
}

/** Keeps what comes and never says that it was read. */
function deaf(): StreamHandler {
  const kept: Uint8Array[] = []
  return {
    opened() {},
    data: (bytes) => void kept.push(bytes),
    ended() {},
    writable() {},
    stopped() {},
    closed() {},
  }
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes in buffers that this process needs; it holds connector, relay and agent. */
function bufferBytes(): number {
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

describe('a reader that stops reading', () => {
  let kit: RelayKit
  let agent: TestAgent
  let endless: TcpTarget
  let file: TcpTarget
  const content = randomBytes(32 * MIB)

  before(async () => {
    kit = await startKit()
    endless = await listenTarget(pour)
    file = await listenTarget((socket) => socket.end(content))
    agent = await kit.startAgent({ rules: { endless: endless.port, file: file.port } })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await endless.close()
    await file.close()
  })

  it('at a connector costs its window and a queue, and another stream flows past it', async () => {
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/endless', 'berlin/file'))
    const before = bufferBytes()
    const streams: Stream[] = []
    for (let index = 0; index < STALLED; index++) streams.push(connector.open('berlin/endless', deaf()))
    const isFull = () => streams.every((stream) => stream.bytesReceived === INITIAL_WINDOW)
    await eventually(isFull, 'each has sent what was granted')

    const hash = createHash('sha256')
    const duplex: TunnelDuplex = connector.connect('berlin/file')
    assert.ok(duplex instanceof TunnelDuplex)
    for await (const chunk of duplex) hash.update(chunk as Buffer)
    duplex.destroy()
    await eventually(() => agent.agent.status().streams === STALLED, 'the end of the stream that flowed')
    assert.equal(hash.digest('hex'), createHash('sha256').update(content).digest('hex'))

    for (const stream of streams) {
      assert.equal(stream.bytesReceived, INITIAL_WINDOW)
      assert.equal(stream.heldBytes, INITIAL_WINDOW)
    }
    // A window at the connector, as much again at the agent until it is consumed, and what it has read beyond; beside
    // them the pool of blocks.
    // Buffers that are free already may wait for the collector.
    const most = STALLED * 3 * INITIAL_WINDOW + 8 * MIB
    await eventually(() => bufferBytes() - before < most, `less than ${Math.round(most / MIB)} MiB`)
    for (const stream of streams) stream.reset('CANCELLED')
    await eventually(() => connector.streamCount === 0, 'the end of the streams')
  })

  it('at a listener of the relay holds its own service back, and another connection flows past it', async () => {
    const port = await kit.publish('berlin/endless')
    const stalled = await Promise.all(
      Array.from({ length: STALLED }, async () => {
        const client = await dial(port)
        client.socket.pause()
        return client
      }),
    )
    const other = await dial(await kit.publish('berlin/file'))
    other.socket.end()
    const { bytes, end } = await other.closed
    assert.equal(end, 'FIN')
    assert.ok(bytes.equals(content))
    // What the kernel takes grows the windows; but it ends, and then nothing more is read from the service.
    let sent = -1
    let looks = 0
    const isStill = () => {
      const agents = kit.relay.sessions.list().filter(({ principal }) => principal.kind === 'agent')
      const now = agents.reduce((sum, { session }) => sum + session.link.receivedData, 0)
      looks = now === sent ? looks + 1 : 0
      sent = now
      return looks >= STILL_LOOKS
    }
    await eventually(isStill, 'nothing moves any more')
    assert.ok(bufferBytes() < 128 * MIB, `${Math.round(bufferBytes() / MIB)} MiB`)
    for (const client of stalled) client.socket.resetAndDestroy()
    await eventually(
      () => kit.relay.sessions.list().every(({ session }) => session.streamCount === 0),
      'the end of the streams',
    )
  })
})
