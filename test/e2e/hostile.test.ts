import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import type { TunnelDuplex } from '../../connector/index.ts'
import { wireFromCode } from '../../shared/errors.ts'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { encodeControl } from '../../shared/mux/encode.ts'
import { INITIAL_CREDIT, MAX_DATA_BYTES } from '../../shared/mux/frame.ts'
import { SESSION_LIMITS } from '../../shared/mux/session-limits.ts'
import { MAX_WINDOW } from '../../shared/mux/window.ts'
import { fastEffects } from '../support/clocks.ts'
import { eventually, within } from '../support/deadline.ts'
import {
  connectHostile,
  dataFrame,
  type HostilePeer,
  helloFrame,
  openFrame,
} from '../support/hostile-peer.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { echoTarget, listenTarget, type TcpTarget } from '../support/tcp-kit.ts'

const PROTOCOL_ERROR = 1002
const ECHO = 'berlin/echo'
const BLOCK = Buffer.alloc(65_536)

function ping(): Uint8Array {
  return encodeControl({ type: 'PING', id: 0, opaque: new Uint8Array(8) })
}

/** What ends a session at once, after HELLO unless it says otherwise. */
const OFFENCES: Record<string, { isGreeted?: boolean; commit(peer: HostilePeer): void }> = {
  'a text message': { commit: ({ socket }) => socket.send('hello') },
  'a fragmented message': {
    commit: ({ socket }) => {
      socket.send(ping().subarray(0, 8), { fin: false })
      socket.send(ping().subarray(8), { fin: true })
    },
  },
  'a message of 2 MiB': { commit: ({ socket }) => socket.send(Buffer.alloc(2 * 1024 * 1024)) },
  'noise instead of HELLO': { isGreeted: false, commit: ({ socket }) => socket.send(randomBytes(1_000)) },
  'noise after HELLO': { commit: ({ socket }) => socket.send(Buffer.alloc(1_000, 0xee)) },
  'half a frame': { commit: (peer) => peer.send(ping().subarray(0, 10)) },
  'a frame before HELLO': { isGreeted: false, commit: (peer) => peer.send(openFrame(1, ECHO)) },
  'a second HELLO': { commit: (peer) => peer.send(helloFrame()) },
  'a HELLO that is no CBOR': {
    isGreeted: false,
    commit: (peer) => peer.send(encodeControl({ type: 'HELLO', id: 0, meta: Buffer.alloc(100, 0xff) })),
  },
  'HELLO_OK from a connector': {
    isGreeted: false,
    commit: (peer) => peer.send(encodeControl({ type: 'HELLO_OK', id: 0, meta: Buffer.from([0xa0]) })),
  },
  "an OPEN with one of the relay's ids": { commit: (peer) => peer.send(openFrame(2, ECHO)) },
  'an OPEN with an id that was used': { commit: (peer) => peer.send(openFrame(3, ECHO), openFrame(1, ECHO)) },
  'DATA of a stream that never was': { commit: (peer) => peer.send(dataFrame(77, 0, Buffer.from('x'))) },
  'an ACK of bytes that were never sent': {
    commit: (peer) => peer.send(encodeControl({ type: 'ACK', id: 0, received: 1_000_000, holdUs: 0 })),
  },
  'a flood of PINGs': { commit: (peer) => peer.send(...Array.from({ length: 1_000 }, ping)) },
  'a flood of RESETs': {
    commit: (peer) => {
      const reset = encodeControl({ type: 'RESET', id: 1, code: 5, consumed: 0, detail: '' })
      peer.send(openFrame(1, ECHO))
      const many = Array.from({ length: 1_000 }, () => reset)
      for (let round = 0; round < 20; round++) peer.send(...many)
    },
  },
}

describe('a connector with good credentials and bad manners', () => {
  let kit: RelayKit
  let target: TcpTarget
  let agent: TestAgent
  let credentials: ConnectorCredentials
  let bystander: TunnelDuplex

  before(async () => {
    kit = await startKit()
    target = await echoTarget()
    agent = await kit.startAgent({ rules: { echo: target.port } })
    credentials = await kit.credentials('hostile', ECHO)
    const connector = await kit.connect(await kit.credentials('honest', ECHO))
    bystander = connector.connect(ECHO)
    bystander.on('error', () => undefined)
    await within(once(bystander, 'connect'), 'a stream')
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  /** Others notice nothing: a running stream goes on, and the agent's session is the one that it was. */
  const othersAreWell = async () => {
    bystander.write('ping')
    const [echo] = await within(once(bystander, 'data'), "the echo of the bystander's stream")
    assert.equal(String(echo), 'ping')
    assert.equal(agent.agent.status().connected, true)
  }

  for (const [offence, { isGreeted, commit }] of Object.entries(OFFENCES)) {
    it(`${offence} ends its session with 1002, and nobody else's`, async () => {
      const peer = await connectHostile(credentials, isGreeted)
      commit(peer)
      assert.equal(await peer.closed, PROTOCOL_ERROR)
      await othersAreWell()
    })
  }

  it('more bytes than were granted reset the stream, and the session goes on', async () => {
    const peer = await connectHostile(credentials)
    peer.send(openFrame(1, ECHO), openFrame(3, ECHO))
    await Promise.all([peer.until('OPEN_OK', 1), peer.until('OPEN_OK', 3)])
    const piece = Buffer.alloc(MAX_DATA_BYTES)
    for (let offset = 0; offset < 64 * INITIAL_CREDIT; offset += piece.length) {
      peer.send(dataFrame(1, offset, piece))
    }
    const reset = await peer.until('RESET', 1)
    assert.equal('code' in reset && reset.code, wireFromCode('FLOW_CONTROL'))
    peer.send(dataFrame(3, 0, Buffer.from('honest')))
    await peer.untilData(3, 6)
    peer.socket.terminate()
    await othersAreWell()
  })

  it('early data beyond the first credit resets the stream', async () => {
    const peer = await connectHostile(credentials)
    const frames = [openFrame(1, ECHO)]
    for (let offset = 0; offset < 2 * INITIAL_CREDIT; offset += MAX_DATA_BYTES) {
      frames.push(dataFrame(1, offset, Buffer.alloc(MAX_DATA_BYTES)))
    }
    for (const frame of frames) peer.send(frame)
    const reset = await peer.until('RESET', 1)
    assert.equal('code' in reset && reset.code, wireFromCode('FLOW_CONTROL'))
    peer.socket.terminate()
    await othersAreWell()
  })

  it('an OPEN whose contents are nonsense is refused alone', async () => {
    const peer = await connectHostile(credentials)
    const open = encodeControl({
      type: 'OPEN',
      id: 1,
      flags: 0,
      maxOffset: INITIAL_CREDIT,
      priority: 0,
      hops: 0,
      meta: Buffer.alloc(200, 0xff),
      earlyData: new Uint8Array(0),
    })
    peer.send(open)
    const reset = await peer.until('RESET', 1)
    assert.equal('code' in reset && reset.code, wireFromCode('PROTOCOL'))
    peer.send(openFrame(3, ECHO))
    await peer.until('OPEN_OK', 3)
    peer.socket.terminate()
  })

  it('a grant without end and no word of consuming costs the agent no more than a window', async () => {
    const endless = await listenTarget((socket) => {
      const more = () => {
        while (!socket.destroyed && socket.write(BLOCK));
      }
      socket.on('drain', more)
      more()
    })
    await kit.startAgent({ site: 'rome', rules: { endless: endless.port } })
    const peer = await connectHostile(await kit.credentials('greedy', 'rome/endless'))
    peer.send(openFrame(1, 'rome/endless', 2 ** 50))
    await peer.until('OPEN_OK', 1)
    // Over whichever of its sessions the agent sends.
    const arrived = () =>
      kit.relay.sessions
        .list()
        .filter(({ principal }) => principal.kind === 'agent' && principal.site === 'rome')
        .reduce((sum, { session }) => sum + session.link.receivedData, 0)
    await eventually(() => arrived() >= MAX_WINDOW, 'a window has come')
    let before = -1
    let looks = 0
    await eventually(() => {
      looks = arrived() === before ? looks + 1 : 0
      before = arrived()
      return looks >= 20
    }, 'nothing comes any more')
    assert.ok(arrived() < MAX_WINDOW + 2 ** 20, `${arrived()} bytes`)
    peer.socket.terminate()
    await endless.close()
    await othersAreWell()
  })

  it('a flood of OPENs is answered or cut off, and others are served meanwhile', async () => {
    const peer = await connectHostile(credentials)
    const last = 19_999
    for (let id = 1; id <= last; ) {
      const batch: Uint8Array[] = []
      for (; batch.length < 400 && id <= last; id += 2) batch.push(openFrame(id, 'berlin/nothing'))
      peer.send(...batch)
    }
    await othersAreWell()
    const counts = kit.relay.sessions.list().map(({ session }) => session.streamCount)
    assert.ok(Math.max(...counts) <= SESSION_LIMITS.streams)
    const outcome = await Promise.race([peer.closed, peer.until('RESET', last)])
    assert.ok(outcome === PROTOCOL_ERROR || typeof outcome === 'object', String(outcome))
    peer.socket.terminate()
    await othersAreWell()
  })
})

describe('a connector that comes in and says nothing', () => {
  it('is cut off after five seconds', async () => {
    await using kit = await startKit({ effects: fastEffects(20) })
    const peer = await connectHostile(await kit.credentials('mute', ECHO), false)
    assert.equal(await peer.closed, 1000)
    await kit.log.until('session closed', { code: 'OPEN_TIMEOUT' })
  })
})
