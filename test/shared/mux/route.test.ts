import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ERRORS, TunnelError } from '../../../shared/errors.ts'
import { FrameReader } from '../../../shared/mux/decode.ts'
import { encodeControl } from '../../../shared/mux/encode.ts'
import { type ControlFrame, INITIAL_CREDIT } from '../../../shared/mux/frame.ts'
import { INITIAL_WINDOW } from '../../../shared/mux/window.ts'
import { createRelayed, type SessionEnd } from '../../support/session-pair.ts'

const OK_META = Uint8Array.of(0xa0)

const unanswered = {
  opening: (end: SessionEnd, frame: Parameters<SessionEnd['admit']>[0]) => {
    end.admit(frame)
  },
}

/** Counts frames of each type that `end` sends from now on. */
function countFrames(end: SessionEnd): Map<string, number> {
  const counts = new Map<string, number>()
  const count = (type: string) => counts.set(type, (counts.get(type) ?? 0) + 1)
  const reader = new FrameReader({ data: () => count('DATA'), control: (frame) => count(frame.type) })
  const send = end.out.send.bind(end.out)
  end.out.send = (message) => {
    reader.push(message.slice())
    send(message)
  }
  return counts
}

describe('a route', () => {
  test('passes early data, answer, bytes both ways and both ends on, and is over', () => {
    const relayed = createRelayed({ delayMs: 5, cuts: 'random' })
    const opener = relayed.connector.open()
    opener.write(100_000, 7_000)
    relayed.run(30)
    const acceptor = relayed.agent.peer()
    assert.deepEqual(opener.meta, [OK_META])
    acceptor.write(2_000_000, 60_000)
    opener.write(1_000_000, 60_000)
    opener.live.end()
    relayed.run(2_000)
    acceptor.live.end()
    relayed.run(200)
    assert.deepEqual([acceptor.received, opener.received], [1_100_000, 2_000_000])
    assert.deepEqual([opener.closedWith, acceptor.closedWith], [null, null])
    assert.deepEqual(
      relayed.routes.map(({ accepts, endedWith, bytes }) => ({ accepts, endedWith, bytes })),
      [{ accepts: 1, endedWith: 0, bytes: [1_100_000, 2_000_000] }],
    )
    relayed.assertClean()
  })

  test('holds what comes before its decision, and passes it on then', () => {
    const relayed = createRelayed({ delayMs: 5, decideMs: 200 })
    const opener = relayed.connector.open()
    opener.write(200_000, 16_000)
    opener.live.end()
    relayed.run(100)
    assert.equal(relayed.agent.accepted.length, 0)
    relayed.run(200)
    assert.equal(relayed.agent.peer().received, 200_000)
    assert.equal(relayed.agent.peer().ends, 1)
  })

  test('holds early data that was written in a thousand small pieces', () => {
    const relayed = createRelayed({ delayMs: 5, decideMs: 200 })
    const opener = relayed.connector.open()
    opener.write(1_000, 1)
    opener.write(INITIAL_CREDIT - 1_000, 100)
    opener.write(5_000)
    opener.live.end()
    relayed.run(400)
    assert.equal(opener.closedWith, undefined)
    assert.equal(relayed.agent.peer().received, INITIAL_CREDIT + 5_000)
    assert.equal(relayed.agent.peer().ends, 1)
  })

  test('refuses early data that is repeated without end', () => {
    const relayed = createRelayed({ delayMs: 5, decideMs: 5_000 })
    const opener = relayed.connector.open()
    relayed.run(10)
    for (let count = 0; count < 300; count++) {
      relayed.connector.session.link.inFlight.sent(1_016, relayed.effects.now())
      const head = [0, 0, 1_008 >> 8, 1_008 & 0xff, 0, 0, 0, opener.live.id, 0, 0, 0, 0, 0, 0, 0, 0]
      relayed.connector.out.send(Uint8Array.from([...head, ...new Uint8Array(1_000)]))
    }
    relayed.run(20)
    assert.equal(opener.code, 'FLOW_CONTROL')
    assert.equal(relayed.toConnector.error, undefined)
  })

  test('that is refused is one RESET for the opener, and nothing reaches the agent', () => {
    const relayed = createRelayed({ deciding: ({ route }) => route.end('DENIED_BY_RELAY', 'no grant') })
    const opener = relayed.connector.open()
    opener.write(10_000)
    relayed.run(20)
    assert.equal(opener.code, 'DENIED_BY_RELAY')
    assert.equal(opener.closedWith?.detail, 'no grant')
    assert.equal(relayed.agent.accepted.length, 0)
    assert.equal(relayed.routes[0]?.endedWith, ERRORS.DENIED_BY_RELAY.wire)
    relayed.assertClean()
  })

  test('that is refused by an exception leaves nothing behind either', () => {
    const relayed = createRelayed({
      deciding: () => {
        throw new TunnelError('AGENT_OFFLINE')
      },
    })
    const opener = relayed.connector.open()
    relayed.run(20)
    assert.equal(opener.code, 'AGENT_OFFLINE')
    relayed.assertClean()
  })

  test('to an agent that drains is refused with DRAINING', () => {
    const relayed = createRelayed()
    relayed.agent.session.goAway('DRAINING', 1_000)
    relayed.run(20)
    const opener = relayed.connector.open()
    relayed.run(20)
    assert.equal(opener.code, 'DRAINING')
    relayed.assertClean()
  })

  test('given up before the decision is over', () => {
    const relayed = createRelayed({ decideMs: 100 })
    const opener = relayed.connector.open()
    opener.write(1_000)
    relayed.run(20)
    opener.live.reset('CANCELLED')
    relayed.run(200)
    assert.equal(relayed.agent.accepted.length, 0)
    relayed.assertClean()
  })

  for (const from of ['connector', 'agent'] as const) {
    test(`RESET of the ${from} reaches the other end with code and detail`, () => {
      const relayed = createRelayed({ delayMs: 5 })
      const opener = relayed.connector.open()
      opener.write(500_000, 10_000)
      relayed.run(17)
      const acceptor = relayed.agent.peer()
      const [active, passive] = from === 'agent' ? [acceptor, opener] : [opener, acceptor]
      active.live.reset('TARGET_RESET', 'gone')
      relayed.run(50)
      assert.equal(passive.code, 'TARGET_RESET')
      assert.equal(passive.closedWith?.detail, 'gone')
      assert.equal(relayed.routes[0]?.endedWith, ERRORS.TARGET_RESET.wire)
      relayed.assertClean()
    })

    test(`the lost session of the ${from} is SESSION_LOST for the other end`, () => {
      const relayed = createRelayed({ delayMs: 5 })
      const opener = relayed.connector.open()
      opener.write(500_000, 10_000)
      relayed.run(50)
      const lost = relayed[from]
      lost.fail(new TunnelError('SESSION_LOST'))
      relayed.run(50)
      const survivor = from === 'agent' ? opener : relayed.agent.peer()
      assert.equal(survivor.code, 'SESSION_LOST')
      assert.equal(relayed.routes[0]?.endedWith, ERRORS.SESSION_LOST.wire)
      const spare = from === 'agent' ? relayed.connector : relayed.agent
      assert.equal(spare.error, undefined)
      relayed.assertClean()
    })
  }

  test('STOP goes through, and the other direction goes on', () => {
    const relayed = createRelayed({ delayMs: 5 })
    const opener = relayed.connector.open()
    relayed.run(30)
    opener.write(1_000_000, 10_000)
    relayed.agent.peer().isEager = false
    relayed.run(50)
    relayed.agent.peer().live.stop('CANCELLED')
    relayed.run(50)
    assert.deepEqual(opener.stops, ['CANCELLED'])
    relayed.agent.peer().write(1_000)
    relayed.agent.peer().live.end()
    relayed.run(50)
    assert.equal(opener.received, 1_000)
    assert.deepEqual([opener.closedWith, relayed.agent.peer().closedWith], [null, null])
    relayed.assertClean()
  })

  test('credit goes from end to end: a reader that reads nothing stops the far sender', () => {
    const relayed = createRelayed({ delayMs: 5 })
    const stuck = relayed.connector.open(0)
    const free = relayed.connector.open(10)
    relayed.run(30)
    relayed.agent.peer(0).isEager = false
    stuck.write(2_000_000, 50_000)
    free.write(2_000_000, 50_000)
    relayed.run(1_000)
    assert.equal(relayed.agent.peer(0).received, INITIAL_WINDOW)
    assert.equal(relayed.agent.peer(1).received, 2_000_000)
    relayed.agent.peer(0).isEager = true
    relayed.agent.peer(0).consume(INITIAL_WINDOW)
    relayed.run(1_000)
    assert.equal(relayed.agent.peer(0).received, 2_000_000)
  })

  test('a sender that passes the far grant is reset at both ends, its session stays', () => {
    const relayed = createRelayed({ delayMs: 5 })
    const opener = relayed.connector.open()
    relayed.run(30)
    relayed.connector.session.link.inFlight.sent(17, relayed.effects.now())
    const offset = [0, 0, 0, 0, 0, 5, 0, 0]
    relayed.connector.out.send(Uint8Array.from([0, 0, 0, 9, 0, 0, 0, opener.live.id, ...offset, 7]))
    relayed.run(30)
    assert.equal(opener.code, 'FLOW_CONTROL')
    assert.equal(relayed.agent.peer().code, 'FLOW_CONTROL')
    assert.equal(relayed.connector.error, undefined)
    relayed.assertClean()
  })
})

describe('a side that is too slow', () => {
  for (const piece of [1, 7]) {
    test(`has its queue dropped and is served again from where it stands (pieces of ${piece})`, () => {
      const relayed = createRelayed({ delayMs: 5, cuts: 'random' })
      const opener = relayed.connector.open()
      relayed.run(30)
      const counts = countFrames(relayed.toAgent)
      relayed.toAgent.out.pause()
      opener.write(30_000, piece)
      relayed.run(2_000)
      assert.equal(relayed.agent.peer().received, 0)
      relayed.toAgent.out.resume()
      relayed.run(2_000)
      opener.live.end()
      relayed.agent.peer().live.end()
      relayed.run(5_000)
      assert.equal(relayed.agent.peer().received, 30_000)
      if (piece === 1) assert.ok((counts.get('PATH_LOST') ?? 0) > 0, 'nothing was dropped')
      assert.deepEqual([opener.closedWith, relayed.agent.peer().closedWith], [null, null])
      relayed.assertClean()
    })
  }

  test('that stalls again and again still gets every byte', () => {
    const relayed = createRelayed({ delayMs: 3 })
    const opener = relayed.connector.open()
    relayed.run(30)
    opener.write(60_000, 1)
    opener.live.end()
    for (let stall = 0; stall < 20; stall++) {
      relayed.toAgent.out.pause()
      relayed.run(60)
      relayed.toAgent.out.resume()
      relayed.run(20)
    }
    relayed.run(5_000)
    assert.equal(relayed.agent.peer().received, 60_000)
    assert.equal(relayed.agent.peer().ends, 1)
  })

  test('does not keep another stream of the same sender waiting', () => {
    const relayed = createRelayed({ delayMs: 5 })
    const opener = relayed.connector.open(0)
    relayed.run(30)
    relayed.toAgent.out.pause()
    opener.write(100_000, 10)
    relayed.run(500)
    const fromAgent = relayed.agent.peer()
    fromAgent.write(500_000, 50_000)
    relayed.run(500)
    // Without ACK from a sender whose own link stands still, it stops at the cap: what it has goes through.
    assert.ok(opener.received >= 100_000, `${opener.received}`)
  })
})

describe('what a hostile end cannot do to the other session', () => {
  /** Sends `frames` again and again from the connector while the agent's side stands still. */
  function flood(frame: (id: number) => ControlFrame) {
    const relayed = createRelayed({ delayMs: 1, ...unanswered })
    const opener = relayed.connector.open()
    relayed.run(20)
    relayed.toAgent.out.pause()
    const message = Uint8Array.from(
      Array.from({ length: 1_000 }, () => [...encodeControl(frame(opener.live.id))]).flat(),
    )
    for (let turn = 0; turn < 100; turn++) {
      relayed.connector.out.send(message)
      relayed.run(5)
    }
    relayed.toAgent.out.resume()
    relayed.run(100)
    return relayed
  }

  for (const type of ['CREDIT', 'RESUME', 'STOP', 'PATH_LOST'] as const) {
    test(`break it by a flood of ${type}`, () => {
      const relayed = flood((id) => {
        if (type === 'CREDIT') return { type, id, maxOffset: 1_000_000, consumed: 0, fin: false }
        if (type === 'RESUME') return { type, id, received: 0 }
        if (type === 'STOP') return { type, id, code: 5 }
        return { type, id, fin: false }
      })
      assert.equal(relayed.toAgent.error, undefined)
      assert.equal(relayed.agent.error, undefined)
    })
  }

  test('break it by streams that are opened and reset at once', () => {
    const relayed = createRelayed({ delayMs: 1 })
    const bystander = relayed.connector.open(50)
    relayed.run(20)
    relayed.toAgent.out.pause()
    for (let turn = 0; turn < 60; turn++) {
      for (let count = 0; count < 200; count++)
        relayed.connector.open(0, 400).live.reset('CANCELLED', 'x'.repeat(256))
      relayed.run(20)
    }
    relayed.toAgent.out.resume()
    relayed.run(1_000)
    assert.equal(relayed.toAgent.error, undefined)
    assert.equal(bystander.closedWith, undefined)
    bystander.write(1_000)
    relayed.run(100)
    assert.equal(relayed.agent.peer(0).received, 1_000)
  })

  test('tell the observer of a second answer', () => {
    const relayed = createRelayed({ delayMs: 1 })
    const opener = relayed.connector.open()
    relayed.run(20)
    const id = relayed.agent.peer().live.id
    for (let count = 0; count < 5; count++) {
      relayed.agent.out.send(encodeControl({ type: 'OPEN_OK', id, maxOffset: 1, meta: OK_META }))
    }
    relayed.run(20)
    assert.equal(relayed.routes[0]?.accepts, 1)
    assert.equal(opener.code, 'PROTOCOL')
    assert.equal(relayed.agent.peer().code, 'PROTOCOL')
    relayed.assertClean()
  })
})
