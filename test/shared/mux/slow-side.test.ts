import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encodeControl } from '../../../shared/mux/encode.ts'
import type { ControlFrame } from '../../../shared/mux/frame.ts'
import { FrameReader } from '../../../shared/mux/frame-reader.ts'
import type { SessionEnd } from '../../support/session-end.ts'
import { createRelayed } from '../../support/session-pair.ts'
import { patternByte } from '../../support/stream-probe.ts'
import { collectGarbage } from './garbage.ts'

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
  test('keep whole chunks of memory with pieces of one byte', async () => {
    const relayed = createRelayed({ delayMs: 1 })
    const opener = relayed.connector.open()
    relayed.run(20)
    relayed.toAgent.out.pause()
    relayed.connector.open(10).write(200_000)
    relayed.run(20)
    await collectGarbage()
    const before = process.memoryUsage().arrayBuffers
    for (let offset = 0; offset < 2_000; offset++) {
      // One byte of DATA behind a frame of 16 KiB that nobody reads: the piece is a view of all of it.
      const chunk = new Uint8Array(8 + 16_368 + 17)
      chunk.set([0x40, 0, 0x3f, 0xf0])
      const head = [0, 0, 0, 9, 0, 0, 0, opener.live.id, 0, 0, 0, 0, 0, 0, offset >> 8, offset & 0xff]
      chunk.set([...head, patternByte(0, offset)], 16_376)
      relayed.connector.session.link.inFlight.sent(17, relayed.effects.now())
      relayed.connector.out.send(chunk)
      relayed.run(2)
    }
    await collectGarbage()
    const kept = process.memoryUsage().arrayBuffers - before
    assert.ok(kept < 4 * 1_048_576, `${kept} bytes kept for 2,000`)
    relayed.toAgent.out.resume()
    relayed.run(1_000)
    assert.equal(relayed.agent.peer().received, 2_000)
  })

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
