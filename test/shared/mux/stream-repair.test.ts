import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { TunnelError } from '../../../shared/errors.ts'
import { seededRandom } from '../../support/fake-effects.ts'
import { LossyEnd } from '../../support/lossy-carrier.ts'
import { type Ledger, StreamProbe } from '../../support/stream-probe.ts'

const OK_META = Uint8Array.of(0xa0)

/** Two ends of one stream, the probes that own them, and chance. */
function createLossyPair(seed: number) {
  const random = seededRandom(seed)
  const ledger: Ledger = { unreleased: 0 }
  const below = (count: number) => Math.floor(random() * count)
  const [opener, acceptor] = [0, 1].map((index) => {
    const probe = new StreamProbe({ expects: 1 - index, writes: index, ledger })
    const end = new LossyEnd(index === 0, probe)
    probe.stream = end.stream
    return { end, probe }
  }) as [{ end: LossyEnd; probe: StreamProbe }, { end: LossyEnd; probe: StreamProbe }]
  return { opener, acceptor, ledger, random, below }
}

type LossyPair = ReturnType<typeof createLossyPair>
type Side = LossyPair['opener']

/** Takes anything out of `list`; leaves it there as well in one of five times, where it may come twice. */
function fetchAny<T>(pair: LossyPair, list: T[], mayRepeat: (item: T) => boolean): T | undefined {
  const index = pair.below(list.length)
  const item = list[index]
  if (item === undefined || (mayRepeat(item) && pair.random() < 0.2)) return item
  list.splice(index, 1)
  return item
}

/** Moves something from one end to the other: in any order, and perhaps again. */
function carry(pair: LossyPair, from: Side, to: Side, now: number): void {
  const piece = fetchAny(pair, from.end.pieces, () => true)
  if (piece !== undefined) to.end.receivePiece(piece, now)
  // The answer to OPEN is the one control frame that changes a state; it stays on the link of the OPEN.
  const frame = fetchAny(pair, from.end.frames, ({ type }) => type !== 'OPEN_OK')
  if (frame !== undefined) to.end.receiveFrame(frame, now)
}

/** The path is lost with the DATA on it; who lives is told. */
function losePath(pair: LossyPair, now: number): void {
  for (const side of [pair.opener, pair.acceptor]) {
    side.end.pieces.length = 0
    side.end.receiveFrame({ type: 'PATH_LOST', id: 1, fin: false }, now)
  }
}

/** All that is under way is gone, control frames too; both ends meet again under another id. */
function moveToNewPath(pair: LossyPair, id: number): void {
  const { opener, acceptor } = pair
  for (const { end } of [opener, acceptor]) {
    end.pieces.length = 0
    end.frames.length = 0
    // Either end may notice alone: the acceptor also learns it from the new path.
    if (end === opener.end || pair.random() < 0.5) end.stream.lose(new TunnelError('SESSION_LOST'))
  }
  for (const { end } of [opener, acceptor]) end.isRemoved = false
  opener.end.stream.path.reattach(id, opener.end)
  acceptor.end.stream.path.adopt(id, acceptor.end, opener.end.stream.path.grantedOffset, OK_META)
  acceptor.end.isRemoved = false
  // The RESET for the path before goes there, not here.
  acceptor.end.frames.splice(
    0,
    acceptor.end.frames.findIndex(({ type }) => type === 'OPEN_OK'),
  )
}

function step(pair: LossyPair, now: number): void {
  const isForward = pair.random() < 0.5
  const [active, passive] = isForward ? [pair.opener, pair.acceptor] : [pair.acceptor, pair.opener]
  const chance = pair.random()
  if (chance < 0.35) active.end.send(1 + pair.below(1_000), now)
  else if (chance < 0.8) carry(pair, active, passive, now)
  else if (chance < 0.85 && active.probe.live.isWriting)
    active.probe.write(pair.below(5_000), 1 + pair.below(2_000))
  else if (chance < 0.95 && active.probe.closedWith === undefined) active.probe.consume(pair.below(20_000))
  else if (chance < 0.96) losePath(pair, now)
  // One end only: a stream that both ended is over as soon as one has heard so, and finds no new path.
  else if (chance < 0.963) pair.opener.probe.live.end()
}

/** Lets all arrive that is under way and repairs what was lost, until both ends are over. */
function settle(pair: LossyPair, now: number): void {
  for (const { probe } of [pair.opener, pair.acceptor]) {
    probe.isEager = true
    if (probe.closedWith === undefined) probe.consume(Number.POSITIVE_INFINITY)
    probe.live.end()
  }
  for (let round = 0; round < 80_000; round++) {
    const isMoving = [pair.opener, pair.acceptor].map((side) => side.end.send(1_000, now))
    carry(pair, pair.opener, pair.acceptor, now)
    carry(pair, pair.acceptor, pair.opener, now)
    if (pair.opener.end.isRemoved && pair.acceptor.end.isRemoved) return
    if (isMoving.includes(true) || round % 500 !== 499) continue
    losePath(pair, now)
  }
  assert.fail('the stream did not end')
}

describe('a stream on a carrier that repeats, reorders and loses', () => {
  test('delivers every byte once and in order, both ways, and ends cleanly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(1_500), (seed, steps) => {
        const pair = createLossyPair(seed)
        const { opener, acceptor } = pair
        acceptor.probe.isEager = seed % 2 === 0
        opener.probe.isEager = seed % 3 === 0
        acceptor.end.stream.accept(OK_META, 0)
        opener.probe.write(pair.below(30_000), 1_000)
        acceptor.probe.write(pair.below(30_000), 3_000)
        let now = 0
        for (let count = 0; count < steps; count++) {
          now += pair.below(20)
          step(pair, now)
        }
        settle(pair, now)
        for (const [side, far] of [
          [opener, acceptor],
          [acceptor, opener],
        ] as const) {
          assert.equal(side.probe.closedWith, null)
          assert.equal(side.probe.received, far.probe.written)
          assert.equal(side.probe.ends, 1)
          assert.equal(side.end.budget.used, 0)
        }
        assert.equal(pair.ledger.unreleased, 0)
      }),
      { numRuns: 300 },
    )
  })

  test('goes on where it stood when its path is lost with everything on it, and comes back on another', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(800), (seed, steps) => {
        const pair = createLossyPair(seed)
        const { opener, acceptor } = pair
        for (const side of [opener, acceptor]) side.end.stream.onPathLost = () => {}
        acceptor.probe.isEager = seed % 2 === 0
        acceptor.end.stream.accept(OK_META, 0)
        opener.probe.write(pair.below(30_000), 1_000)
        acceptor.probe.write(pair.below(30_000), 3_000)
        let id = 1
        for (let now = 0; now < steps; now++) {
          if (pair.random() < 0.02) {
            id += 2
            moveToNewPath(pair, id)
          }
          step(pair, now)
        }
        settle(pair, steps)
        for (const [side, far] of [
          [opener, acceptor],
          [acceptor, opener],
        ] as const) {
          assert.equal(side.probe.closedWith, null)
          assert.equal(side.probe.received, far.probe.written)
          assert.equal(side.end.budget.used, 0)
        }
        assert.equal(pair.ledger.unreleased, 0)
      }),
      { numRuns: 300 },
    )
  })
})
