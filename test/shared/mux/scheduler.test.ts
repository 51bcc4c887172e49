import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Activity } from '../../../shared/mux/activity.ts'
import { MAX_DATA_BYTES } from '../../../shared/mux/frame.ts'
import { Ring } from '../../../shared/mux/ring.ts'
import { type DataSource, type Piece, Scheduler } from '../../../shared/mux/scheduler.ts'
import { TokenBucket } from '../../../shared/mux/token-bucket.ts'

/** A source of `bytes` bytes that leave in pieces of at most `pieceBytes`. */
class Pile implements DataSource {
  readonly activity = new Activity()
  isQueued = false
  mayStripe = false
  readonly id: number
  bytes: number
  turns = 0
  readonly #pieceBytes: number

  constructor(id: number, bytes: number, pieceBytes = Number.POSITIVE_INFINITY) {
    this.id = id
    this.bytes = bytes
    this.#pieceBytes = pieceBytes
  }

  get isReady(): boolean {
    return this.bytes > 0
  }

  next(max: number): Piece | undefined {
    const length = Math.min(max, this.bytes, this.#pieceBytes)
    if (length === 0) return undefined
    this.bytes -= length
    return { id: this.id, flags: 0, offset: 0, bytes: new Uint8Array(length) }
  }

  sent(): void {
    this.turns++
  }
}

const ENDLESS = 1e12

function bulk(id: number, now: number, pieceBytes?: number): Pile {
  const pile = new Pile(id, ENDLESS, pieceBytes)
  pile.activity.add(1_000_000, now)
  return pile
}

/** Ids in the order in which `count` pieces leave. */
function order(scheduler: Scheduler, count: number, now: number): number[] {
  return Array.from({ length: count }, () => scheduler.next(MAX_DATA_BYTES, now)?.id ?? 0)
}

describe('the scheduler', () => {
  test('gives four fresh quanta to one of bulk', () => {
    const scheduler = new Scheduler(() => 1)
    for (let id = 1; id <= 40; id++) scheduler.add(new Pile(id, 100), 0)
    scheduler.add(bulk(99, 0), 0)
    const ids = order(scheduler, 20, 0)
    assert.deepEqual(
      ids.map((id) => id === 99),
      Array.from({ length: 20 }, (_, index) => index % 5 === 4),
    )
  })

  test('lets a small request overtake any number of downloads', () => {
    const scheduler = new Scheduler(() => 1)
    for (let id = 1; id <= 100; id++) scheduler.add(bulk(id, 0), 0)
    order(scheduler, 7, 0)
    const small = new Pile(999, 50)
    scheduler.add(small, 0)
    assert.ok(order(scheduler, 2, 0).includes(999))
  })

  test('shares among bulk within one quantum, whatever the size of their pieces', () => {
    const scheduler = new Scheduler(() => 1)
    const pieceSizes = [1, 700, 4_096, 16_360, ENDLESS, 16_359]
    for (const [index, size] of pieceSizes.entries()) scheduler.add(bulk(index + 1, 0, size), 0)
    const sent = new Map<number, number>()
    for (let total = 0; total < 2_000_000; ) {
      const piece = scheduler.next(MAX_DATA_BYTES, 0)
      assert.ok(piece !== undefined)
      sent.set(piece.id, (sent.get(piece.id) ?? 0) + piece.bytes.length)
      total += piece.bytes.length
      const most = Math.max(...sent.values())
      const least = Math.min(...pieceSizes.map((_, index) => sent.get(index + 1) ?? 0))
      assert.ok(most - least <= 4 * MAX_DATA_BYTES, `${most} beside ${least}`)
    }
  })

  test('gives bulk one frame at a time while small answers go the same way, and for 100 ms after', () => {
    const scheduler = new Scheduler(() => 1)
    for (const id of [1, 2]) scheduler.add(bulk(id, 0), 0)
    assert.deepEqual(order(scheduler, 8, 0), [1, 1, 1, 1, 2, 2, 2, 2])
    scheduler.add(new Pile(9, 50), 0)
    assert.deepEqual(order(scheduler, 4, 0), [9, 1, 2, 1])
    assert.equal(scheduler.isShared(99), true)
    assert.deepEqual(order(scheduler, 3, 99), [2, 1, 2])
    assert.equal(scheduler.isShared(100), false)
    assert.deepEqual(order(scheduler, 6, 100), [1, 1, 1, 1, 2, 2])
  })

  test('keeps bulk that may go elsewhere off the first link while small answers use it, and for 2 s after', () => {
    const scheduler = new Scheduler(() => 1)
    const [striped, tied] = [bulk(1, 0), bulk(2, 0)]
    striped.mayStripe = true
    for (const pile of [striped, tied, new Pile(9, 50)]) scheduler.add(pile, 0)
    scheduler.hasFurtherLinks = true
    assert.deepEqual(order(scheduler, 4, 0), [9, 2, 2, 2])
    assert.equal(scheduler.nextStriped(MAX_DATA_BYTES, 0)?.id, 1)
    assert.ok(!order(scheduler, 8, 1_999).includes(1))
    assert.ok(order(scheduler, 8, 2_000).includes(1))
  })

  test('expects the next small answer for four round trips where those take longer', () => {
    const scheduler = new Scheduler(() => 50)
    for (const id of [1, 2]) scheduler.add(bulk(id, 0), 0)
    scheduler.add(new Pile(9, 50), 0)
    order(scheduler, 1, 0)
    assert.deepEqual([scheduler.isShared(199), scheduler.isShared(200)], [true, false])
  })

  test('lets bulk stand back where another session with the same peer carries small answers', () => {
    const [scheduler, other] = [new Scheduler(() => 1), new Scheduler(() => 1)]
    other.attention = scheduler.attention
    const striped = [bulk(1, 0), bulk(2, 0)]
    for (const pile of striped) {
      pile.mayStripe = true
      scheduler.add(pile, 0)
    }
    other.add(new Pile(9, 50), 0)
    order(other, 1, 0)
    assert.deepEqual(order(scheduler, 4, 0), [1, 2, 1, 2])
    scheduler.hasFurtherLinks = true
    assert.deepEqual(order(scheduler, 2, 0), [1, 2], 'they need the first link of the other session only')
  })

  test('takes neither a new transfer nor the next second of an old one for a small answer', () => {
    const scheduler = new Scheduler(() => 1)
    scheduler.add(new Pile(1, 1_000_000), 0)
    order(scheduler, 20, 0)
    assert.equal(scheduler.isShared(0), false)
    const old = bulk(2, 0, 500)
    scheduler.add(old, 1_500)
    scheduler.add(new Pile(3, 1_000_000), 1_500)
    order(scheduler, 20, 1_500)
    assert.equal(scheduler.isShared(1_500), false)
  })

  test('starves no one: bulk moves beside endless fresh sources, and every fresh one beside bulk', () => {
    const scheduler = new Scheduler(() => 1)
    const fresh = Array.from({ length: 10 }, (_, index) => new Pile(index + 1, ENDLESS))
    const heavy = bulk(99, 0)
    for (const pile of [...fresh, heavy]) scheduler.add(pile, 0)
    order(scheduler, 1_000, 0)
    for (const pile of [...fresh, heavy]) assert.ok(pile.turns > 20, `${pile.id}: ${pile.turns} turns`)
  })

  test('counts a source as bulk from 64 KiB a second, and as fresh a second later', () => {
    const activity = new Activity()
    activity.add(65_535, 10)
    assert.equal(activity.isFresh(500), true)
    activity.add(1, 500)
    assert.equal(activity.isFresh(1_000), false)
    assert.equal(activity.isFresh(1_001), true)
  })

  test('goes on with an unfinished turn, and tells the source when the turn is over', () => {
    const scheduler = new Scheduler(() => 1)
    const pile = new Pile(1, 1_000, 400)
    scheduler.add(pile, 0)
    assert.deepEqual(order(scheduler, 2, 0), [1, 1])
    assert.equal(pile.turns, 0)
    assert.deepEqual(order(scheduler, 2, 0), [1, 0])
    assert.equal(pile.turns, 1)
    assert.equal(pile.isQueued, false)
    assert.equal(scheduler.isEmpty, true)
  })

  test('queues a source once, and forgets one that has nothing any more', () => {
    const scheduler = new Scheduler(() => 1)
    const pile = new Pile(1, 100)
    scheduler.add(pile, 0)
    scheduler.add(pile, 0)
    pile.bytes = 0
    assert.equal(scheduler.next(MAX_DATA_BYTES, 0), undefined)
    assert.equal(scheduler.isEmpty, true)
    assert.equal(pile.turns, 0)
    pile.bytes = 5
    scheduler.add(pile, 0)
    assert.deepEqual(order(scheduler, 2, 0), [1, 0])
  })

  test('takes a source that writes again when it is told that its turn is over', () => {
    const scheduler = new Scheduler(() => 1)
    const pile = new Pile(1, 10)
    pile.sent = () => {
      if (pile.turns++ > 2) return
      pile.bytes = 10
      scheduler.add(pile, 0)
    }
    scheduler.add(pile, 0)
    assert.deepEqual(order(scheduler, 5, 0), [1, 1, 1, 1, 0])
  })

  test('with any sources and any arrivals sends every byte', () => {
    const arrival = fc.record({
      after: fc.nat(20),
      bytes: fc.nat(200_000),
      pieces: fc.integer({ min: 500, max: 20_000 }),
    })
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 12 }), (arrivals) => {
        const scheduler = new Scheduler(() => 1)
        const piles = arrivals.map(({ bytes, pieces }, index) => new Pile(index + 1, bytes, pieces))
        let now = 0
        for (const [index, pile] of piles.entries()) {
          scheduler.add(pile, now)
          now += 100
          order(scheduler, arrivals[index]?.after ?? 0, now)
        }
        for (let steps = 0; scheduler.next(MAX_DATA_BYTES, now) !== undefined; steps++)
          assert.ok(steps < 10_000)
        for (const pile of piles) assert.deepEqual([pile.bytes, pile.isQueued], [0, false])
      }),
      { numRuns: 100 },
    )
  })
})

describe('a ring', () => {
  test('is a queue, beside an array', () => {
    const action = fc.oneof(
      fc.record({ push: fc.nat() }),
      fc.constant('shift' as const),
      fc.constant('replace' as const),
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const ring = new Ring<number>()
        const model: number[] = []
        for (const step of actions) {
          if (step === 'shift') {
            assert.equal(ring.shift(), model.shift())
          } else if (step !== 'replace') {
            ring.push(step.push)
            model.push(step.push)
          } else if (model.length > 0) {
            ring.replaceFirst(-1)
            model[0] = -1
          }
          assert.deepEqual([ring.length, ring.first], [model.length, model[0]])
        }
      }),
    )
  })

  test('keeps the order over thousands', () => {
    const ring = new Ring<number>()
    let out = 0
    for (let index = 0; index < 10_000; index++) {
      ring.push(index)
      if (index % 3 !== 0) assert.equal(ring.shift(), out++)
    }
    while (ring.length > 0) assert.equal(ring.shift(), out++)
    assert.equal(out, 10_000)
  })
})

describe('a token bucket', () => {
  test('lets a burst pass and then the rate', () => {
    const bucket = new TokenBucket(10, 3)
    assert.deepEqual(
      Array.from({ length: 4 }, () => bucket.take(1_000)),
      [true, true, true, false],
    )
    assert.equal(bucket.take(1_099), false)
    assert.equal(bucket.take(1_100), true)
    assert.deepEqual(
      Array.from({ length: 4 }, () => bucket.take(1e9)),
      [true, true, true, false],
    )
  })
})
