import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Candidate, pickSession } from '../../../relay/gateway/pick-session.ts'

const NOW = 50_000

interface Shape {
  readonly agent?: string
  readonly streams?: number
  readonly queued?: number
  readonly recent?: number
  readonly rtt?: number
  readonly waitingSince?: number
  readonly wantsRoll?: boolean
}

function candidate(shape: Shape): Candidate {
  return {
    principal: { kind: 'agent', id: shape.agent ?? 'one' } as Candidate['principal'],
    session: {
      streamCount: shape.streams ?? 0,
      queuedBytes: shape.queued ?? 0,
      wantsRoll: shape.wantsRoll ?? false,
      link: {
        recentBytes: () => shape.recent ?? 0,
        rttMs: shape.rtt ?? Number.POSITIVE_INFINITY,
        inFlight: { waitingSince: shape.waitingSince },
      },
    },
  }
}

/** Which of `shapes` is picked. */
function picked(...shapes: Shape[]): number {
  const candidates = shapes.map(candidate)
  const one = pickSession(candidates, NOW)
  return one === undefined ? -1 : candidates.indexOf(one)
}

describe('of two sessions of an agent a new stream gets', () => {
  test('the first while nothing tells them apart, also where only the fraction of a millisecond does', () => {
    assert.equal(picked({}, {}), 0)
    assert.equal(picked({ rtt: 0.3 }, { rtt: 0.1 }), 0)
    assert.equal(picked({ rtt: 0.3 }, {}), 0)
  })

  test('the first while both have little to do, however many small streams it has, up to a thousand', () => {
    assert.equal(picked({ streams: 3 }, { streams: 2 }), 0)
    assert.equal(picked({ streams: 1_000, recent: 500_000 }, {}), 0)
    assert.equal(picked({ streams: 1_024 }, {}), 1)
  })

  test('the one over which no bulk transfer runs', () => {
    assert.equal(picked({ streams: 1, recent: 4_000_000 }, { streams: 30 }), 1)
    assert.equal(picked({ streams: 1, queued: 4_000_000 }, { streams: 30 }), 1)
  })

  test('the one with fewer streams where bulk transfers run over both', () => {
    assert.equal(picked({ streams: 3, recent: 90_000_000 }, { streams: 2, recent: 900_000_000 }), 1)
  })

  test('the one with the shorter round trip, unless so much runs over it that it takes as long', () => {
    assert.equal(picked({ rtt: 80 }, { rtt: 20, streams: 2 }), 1)
    assert.equal(picked({ rtt: 90 }, { rtt: 20, recent: 900_000_000 }), 1)
    assert.equal(picked({ rtt: 70 }, { rtt: 20, recent: 900_000_000 }), 0)
  })

  test('the one with fewer small streams where both are far away, and neither by chance a little nearer', () => {
    assert.equal(picked({ rtt: 80, streams: 1 }, { rtt: 82 }), 1)
    assert.equal(picked({ rtt: 82, streams: 3 }, { rtt: 80, streams: 4 }), 0)
    assert.equal(picked({ rtt: 80, recent: 4_000_000 }, { rtt: 82, streams: 30 }), 1)
  })

  test('the one that nobody has measured yet, as if it were as good as the other', () => {
    assert.equal(picked({ rtt: 80, recent: 4_000_000 }, {}), 1)
    assert.equal(picked({ rtt: 80 }, {}), 0)
  })

  test('not the one that has had no ACK for more than a second, whatever the other has to do', () => {
    assert.equal(picked({ waitingSince: NOW - 1_001 }, { streams: 500, rtt: 1 }), 1)
    assert.equal(picked({ waitingSince: NOW - 900 }, { streams: 5 }), 0)
  })

  test('not the one that is to be replaced, unless there is no other', () => {
    assert.equal(picked({ wantsRoll: true }, { streams: 900, rtt: 900 }), 1)
    assert.equal(picked({ wantsRoll: true }), 0)
  })
})

describe('of several agents of a site', () => {
  test('the one with fewer streams over all its sessions serves, however near the other is', () => {
    const far = { agent: 'two', streams: 3, rtt: 90 }
    assert.equal(picked({ streams: 2, rtt: 1 }, { streams: 2, rtt: 1 }, far), 2)
    assert.equal(picked({ streams: 1, rtt: 1 }, { streams: 1, rtt: 1 }, far), 0)
  })

  test('a site without any has none', () => {
    assert.equal(picked(), -1)
  })
})
