import assert from 'node:assert/strict'
import type net from 'node:net'
import { after, before, describe, it } from 'node:test'
import { eventually, within } from '../support/deadline.ts'
import { dial, listenTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { footprint } from './part.ts'
import { startWorld, type World } from './world.ts'

/**
 * F01: SIGKILL for the agent in the middle of a download, all parts in processes of their own. An agent that died cannot be
 * told from one whose network is gone, so streams wait for it: those of `resume = false` end at once, the others when the
 * agent is back, which knows them no more, or when their grace is over.
 */

const MIB = 1024 * 1024

/** A download of 1 GiB; the agent is killed in the first tenth. */
const TOTAL_BYTES = 1024 * MIB
const KILL_AT_BYTES = 64 * MIB

/** How soon the client must hear of it, in ms. */
const HEARD_MS = 2_000

/** What the relay may have grown by. */
const RSS_SHARE = 1.1

const BLOCK = Buffer.alloc(MIB)
for (let at = 0; at < BLOCK.length; at++) BLOCK[at] = (at * 31 + (at >> 8) * 7) & 0xff

function serve(socket: net.Socket): void {
  let sent = 0
  const more = () => {
    while (sent < TOTAL_BYTES && !socket.destroyed) {
      sent += BLOCK.length
      if (!socket.write(BLOCK)) return
    }
    socket.end()
  }
  socket.on('drain', more)
  more()
}

/** Downloads and compares each byte with what the service sends. */
async function download(port: number) {
  const { socket, closed } = await dial(port)
  socket.removeAllListeners('data')
  let length = 0
  let isRight = true
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) {
      const from = length % BLOCK.length
      const part = Math.min(BLOCK.length - from, chunk.length - at)
      if (chunk.compare(BLOCK, from, from + part, at, at + part) !== 0) isRight = false
      at += part
      length += part
    }
  })
  return { length: () => length, isRight: () => isRight, closed }
}

describe('F01: an agent that is killed in the middle of a download', () => {
  let world: World
  let target: TcpTarget

  before(async () => {
    target = await listenTarget(serve)
    world = await startWorld()
  })

  after(async () => {
    await world[Symbol.asyncDispose]()
    await target.close()
  })

  for (const road of ['listener', 'connector'] as const) {
    it(`F01: ${road}: the client has an exact prefix and a reset within 2 s, and the relay's memory is free again`, async () => {
      const site = `at-once-${road}`
      const agent = await world.startAgent({ site, targets: { bulk: target.port }, mortal: ['bulk'] })
      const resource = `${site}/bulk`
      const port =
        road === 'listener'
          ? await world.publish(resource)
          : (await world.connect(resource, await world.credentials(site, resource))).port
      const before = footprint(world.relay.pid).rssMib
      const client = await download(port)
      await eventually(() => client.length() > KILL_AT_BYTES, 'the download is under way')
      const began = performance.now()
      await agent.part.end('SIGKILL')
      const { end } = await client.closed
      assert.ok(performance.now() - began < HEARD_MS)
      assert.equal(end, 'RST', 'an end would be taken for the whole answer')
      assert.ok(client.isRight())
      assert.ok(client.length() < TOTAL_BYTES)
      await eventually(() => {
        const { rssMib } = footprint(world.relay.pid)
        // A process that has just started grows with its first work, whatever that is.
        return rssMib < Math.max(before * RSS_SHARE, before + 32)
      }, "the relay's memory")
    })
  }

  it('F01: a stream that may survive ends by a reset when the agent is back and knows it no more', async () => {
    const agent = await world.startAgent({ site: 'waits', targets: { bulk: target.port } })
    const client = await download(await world.publish('waits/bulk'))
    await eventually(() => client.length() > KILL_AT_BYTES, 'the download is under way')
    await agent.part.end('SIGKILL')
    await agent.again()
    await agent.connected()
    const { end } = await within(client.closed, 'the end', HEARD_MS)
    assert.equal(end, 'RST')
    assert.ok(client.isRight())
  })
})
