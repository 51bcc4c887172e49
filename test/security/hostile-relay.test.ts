import assert from 'node:assert/strict'
import type net from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { wireFromCode } from '../../shared/errors.ts'
import { encodeControl } from '../../shared/mux/encode.ts'
import { INITIAL_CREDIT, MAX_DATA_BYTES } from '../../shared/mux/frame.ts'
import { SESSION_LIMITS } from '../../shared/mux/session-limits.ts'
import { eventually } from '../support/deadline.ts'
import { dataFrame, openFrame } from '../support/hostile-peer.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { echoTarget, listenTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { type Guest, type HostileManners, type HostileRelay, startHostileRelay } from './hostile-relay.ts'

/**
 * S27: a relay that has the right certificate and means no good. The agent's rules are in force whatever it says, so what is
 * left to it is to break the protocol, to flood, or not to read.
 */

const PROTOCOL_ERROR = 1002
const MIB = 1024 * 1024
const ECHO = 'echo'

/** An agent keeps two sessions; each begins with its own backoff. */
const SESSIONS = 2

/** How long an agent may try to come back, in ms. */
const LOOK_MS = 1_500

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes in buffers that this process needs, which holds agent and relay. */
function bufferBytes(): number {
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

/** Streams whose frames share one message. */
const PER_MESSAGE = 400

/** `frames` for each of `PER_MESSAGE` streams from `id` on: one of them at the begin, another at `second`. */
function numbered(frames: Buffer, second: number, id: number): Buffer {
  const message = Buffer.alloc(frames.length * PER_MESSAGE)
  for (let count = 0; count < PER_MESSAGE; count++) {
    const at = count * frames.length
    message.set(frames, at)
    // Bytes 4 to 7 of each frame.
    message.writeUInt32BE(id + 2 * count, at + 4)
    message.writeUInt32BE(id + 2 * count, at + second + 4)
  }
  return message
}

/** What ends the session at once, with 1002. */
const OFFENCES: Record<string, (guest: Guest) => void | Promise<void>> = {
  'DATA of a stream that never was': ({ send }) => send(dataFrame(78, 0, Buffer.from('x'))),
  'an OPEN with an id that was used': ({ send }) => send(openFrame(4, ECHO), openFrame(2, ECHO)),
  "an OPEN with one of the agent's ids": ({ send }) => send(openFrame(1, ECHO)),
  'a second HELLO_OK': (guest) => guest.greet(),
  'an ACK of bytes that were never sent': ({ send }) =>
    send(encodeControl({ type: 'ACK', id: 0, received: 1_000_000, holdUs: 0 })),
  'a frame that may not be': ({ send }) => send(Uint8Array.of(0xee, 0, 0, 0, 0, 0, 0, 0)),
  'a text message': ({ socket }) => socket.send('hello'),
  'a message of 2 MiB': ({ socket }) => socket.send(Buffer.alloc(2 * MIB)),
  'a flood of PINGs': ({ send }) => {
    const ping = encodeControl({ type: 'PING', id: 0, opaque: new Uint8Array(8) })
    for (let round = 0; round < 20; round++) send(...Array.from({ length: 1_000 }, () => ping))
  },
  'OPEN and RESET in turns, without end': async ({ send, socket }) => {
    const reset = encodeControl({ type: 'RESET', id: 2, code: 5, consumed: 0, detail: '' })
    const pair = Buffer.concat([openFrame(2, 'NO NAME'), reset])
    for (let id = 2; socket.readyState === socket.OPEN; ) {
      // As fast as it goes, but not all at once: what is queued here is this process's memory.
      for (let message = 0; message < 100; message++, id += 2 * PER_MESSAGE)
        send(numbered(pair, pair.length - reset.length, id))
      await new Promise((resolve) => setImmediate(resolve))
    }
  },
}

/** Each is no greeting; the agent says so and comes again later. */
const GREETINGS: Record<string, (guest: Guest) => void> = {
  'a ping interval of a millisecond': (guest) => guest.greet({ pingIntervalMs: 1 }),
  'a ping interval of a month': (guest) => guest.greet({ pingIntervalMs: 2_592_000_000 }),
  'a revision that nobody offered': (guest) => guest.greet({ version: 9 }),
  'a name of 8,000 letters': (guest) => guest.greet({ session: 'x'.repeat(8_000) }),
  'no CBOR': ({ send }) => send(encodeControl({ type: 'HELLO_OK', id: 0, meta: Buffer.alloc(50, 0xff) })),
  HELLO: ({ send }) => send(encodeControl({ type: 'HELLO', id: 0, meta: Uint8Array.of(0xa0) })),
  'an OPEN before it': ({ send }) => send(openFrame(2, ECHO)),
}

describe('S27: an agent whose relay turned hostile', () => {
  let kit: RelayKit
  let directory: string
  let target: TcpTarget
  let endless: TcpTarget
  let agent: TestAgent | undefined
  let relay: HostileRelay | undefined

  before(async () => {
    kit = await startKit()
    target = await echoTarget()
    endless = await listenTarget(pour)
    directory = await kit.joinedDirectory()
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
    await endless.close()
  })

  /** Runs an agent against a relay of such manners until `until` is done. */
  async function besiege(manners: HostileManners, until: (agent: TestAgent) => Promise<void>): Promise<void> {
    await using hostile = await startHostileRelay(kit, manners)
    relay = hostile
    agent = await kit.startAgent({
      directory,
      rules: { echo: target.port, endless: endless.port },
      isAwaited: false,
    })
    try {
      await until(agent)
    } finally {
      await agent.stop()
    }
  }

  /** The first guest that was let in, and what it did then. */
  function firstGuest(): { manners: HostileManners; guest: Promise<Guest> } {
    const { promise, resolve } = Promise.withResolvers<Guest>()
    const onGuest = (guest: Guest) => {
      guest.greet()
      resolve(guest)
    }
    return { manners: { onGuest }, guest: promise }
  }

  for (const [offence, commit] of Object.entries(OFFENCES)) {
    it(`closes with 1002: ${offence}`, async () => {
      const { manners, guest } = firstGuest()
      await besiege(manners, async () => {
        const first = await guest
        await commit(first)
        assert.equal(await first.closed, PROTOCOL_ERROR)
      })
    })
  }

  for (const [greeting, greet] of Object.entries(GREETINGS)) {
    it(`does not take for a greeting: ${greeting}`, async () => {
      await besiege({ onGuest: greet }, async ({ log, agent: running }) => {
        await log.until('not connected', { code: 'PROTOCOL' })
        assert.equal(running.status().connected, false)
      })
    })
  }

  it('resets alone a stream with more early data than was granted, or with contents that are nonsense', async () => {
    const { manners, guest } = firstGuest()
    await besiege(manners, async () => {
      const first = await guest
      first.send(openFrame(2, ECHO))
      for (let offset = 0; offset < 2 * INITIAL_CREDIT; offset += MAX_DATA_BYTES)
        first.send(dataFrame(2, offset, Buffer.alloc(MAX_DATA_BYTES)))
      const overrun = await first.until('RESET', 2)
      assert.equal('code' in overrun && overrun.code, wireFromCode('FLOW_CONTROL'))
      first.send(openFrame(4, 'no/such/name'))
      const nonsense = await first.until('RESET', 4)
      assert.equal('code' in nonsense && nonsense.code, wireFromCode('PROTOCOL'))
      first.send(openFrame(6, 'metadata'))
      const denied = await first.until('RESET', 6)
      assert.equal('code' in denied && denied.code, wireFromCode('DENIED_BY_SITE'))
      first.send(openFrame(8, ECHO))
      await first.until('OPEN_OK', 8)
      first.send(encodeControl({ type: 'RESET', id: 8, code: 5, consumed: 0, detail: '' }))
    })
  })

  it('a million OPENs cost no more than its limits, and dial no more than they say', async () => {
    const { manners, guest } = firstGuest()
    await besiege(manners, async ({ agent: running }) => {
      const first = await guest
      const before = bufferBytes()
      let isOver = false
      first.socket.once('close', () => {
        isOver = true
      })
      let most = 0
      const open = Buffer.from(openFrame(2, ECHO))
      for (let id = 2; id <= 2_000_000 && !isOver; id += 2 * PER_MESSAGE) {
        first.send(numbered(open, 0, id))
        await new Promise((resolve) => setImmediate(resolve))
        most = Math.max(most, running.status().streams)
      }
      assert.ok(most <= SESSIONS * SESSION_LIMITS.streams, `${most} streams`)
      assert.ok(target.accepted <= 10_000, `${target.accepted} connections`)
      first.socket.terminate()
      const grown = bufferBytes() - before
      assert.ok(grown < 64 * MIB, `${Math.round(grown / MIB)} MiB`)
    })
  })

  it('grants without end to a relay that reads nothing: no more is read from the service than is kept for it', async () => {
    const { manners, guest } = firstGuest()
    await besiege(manners, async ({ agent: running }) => {
      const first = await guest
      const streams = 32
      const before = bufferBytes()
      first.send(...Array.from({ length: streams }, (_, i) => openFrame(2 + 2 * i, 'endless', 2 ** 50)))
      await eventually(() => running.status().streams === streams, 'the streams')
      await first.until('OPEN_OK', 2 * streams)
      first.socket.pause()
      await stillness(() => served)
      const grown = bufferBytes() - before
      // Each keeps 256 KiB, and all together what the agent's budget for windows holds beyond.
      assert.ok(grown < 320 * MIB, `${Math.round(grown / MIB)} MiB`)
      first.socket.terminate()
      await eventually(() => running.status().streams === 0 || running.status().waiting >= 0, 'the end')
    })
  })

  it('comes back less and less often, whether it is sent away or its session broken', async () => {
    const goAway = encodeControl({
      type: 'GOAWAY',
      id: 0,
      code: wireFromCode('DRAINING'),
      lastId: 0,
      drainMs: 0,
      retryAfterMs: 0,
      meta: new Uint8Array(0),
    })
    const manners: Record<string, HostileManners> = {
      GOAWAY: {
        onGuest(guest) {
          guest.greet()
          guest.send(goAway)
        },
      },
      'a broken session': {
        onGuest(guest) {
          guest.greet()
          guest.send(dataFrame(78, 0, Buffer.from('x')))
        },
      },
      'a connection that is cut': { onGuest: (guest) => guest.socket.terminate() },
    }
    for (const [kind, manner] of Object.entries(manners)) {
      await besiege(manner, async () => {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
        // Without a pause that grows it would be hundreds.
        assert.ok((relay?.upgrades ?? 0) <= SESSIONS * 12, `${kind}: ${relay?.upgrades} connections`)
      })
    }
  })

  it('takes no name of an object for a code, no redirect and no answer of a megabyte', async () => {
    const problem = (code: string) => {
      const body = JSON.stringify({ code })
      return `HTTP/1.1 403 No\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    }
    const answers: Record<string, string> = {
      constructor: problem('constructor'),
      __proto__x: problem('__proto__'),
      redirect: 'HTTP/1.1 307 There\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n',
      megabyte: `HTTP/1.1 500 Much\r\nContent-Length: ${MIB}\r\n\r\n${'x'.repeat(MIB)}`,
      headers: `HTTP/1.1 500 Many\r\n${'X-A: b\r\n'.repeat(100_000)}\r\n`,
      nothing: 'nothing of HTTP\r\n\r\n',
    }
    for (const [name, answer] of Object.entries(answers)) {
      await besiege({ onUpgrade: (socket) => socket.end(answer) }, async ({ log }) => {
        const line = await log.until('not connected')
        assert.equal(line.code, 'RELAY_UNREACHABLE', name)
      })
    }
  })
})

/** Bytes that the endless service has sent. */
let served = 0

/** Writes as fast as it is taken, for ever. */
function pour(socket: net.Socket): void {
  const block = Buffer.alloc(65_536)
  const more = () => {
    while (!socket.destroyed) {
      served += block.length
      if (!socket.write(block)) return
    }
  }
  socket.on('drain', more)
  more()
}

/** Waits until `count` stands still. */
async function stillness(count: () => number): Promise<void> {
  let before = -1
  let looks = 0
  await eventually(() => {
    looks = count() === before ? looks + 1 : 0
    before = count()
    return looks >= 40
  }, 'nothing moves any more')
}
