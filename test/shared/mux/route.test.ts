import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ERRORS, TunnelError } from '../../../shared/errors.ts'
import { INITIAL_CREDIT } from '../../../shared/mux/frame.ts'
import { INITIAL_WINDOW } from '../../../shared/mux/window.ts'
import { createRelayed } from '../../support/session-pair.ts'

const OK_META = Uint8Array.of(0xa0)

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
