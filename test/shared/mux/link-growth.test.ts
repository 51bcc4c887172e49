import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LinkGrowth, MAX_LINKS } from '../../../shared/mux/link-growth.ts'

/** A path on which a session sends for as long as the test says; every link moves `bytesPerLink` a look, up to `most` in all. */
class Path {
  readonly growth = new LinkGrowth()
  now = 0
  links = 1
  /** How many looks it takes until links that are wanted have joined. */
  joinLooks = 1
  stallsPerLook = 2
  bytesPerLink = 100_000
  most = Number.POSITIVE_INFINITY
  #acknowledged = 0
  stalls = 0
  #waitedLooks = 0

  /** Goes on for `ms` with data that waits all the time, or with none. */
  run(ms: number, isWaiting = true): void {
    for (const until = this.now + ms; this.now < until; this.now += 100) {
      if (isWaiting) this.growth.waiting(this.now)
      if (this.now < this.growth.deadline) continue
      this.#acknowledged += isWaiting ? Math.min(this.links * this.bytesPerLink, this.most) : 0
      this.stalls += isWaiting ? this.stallsPerLook : 0
      this.growth.look(this.now, {
        acknowledged: this.#acknowledged,
        stalls: this.stalls,
        links: this.links,
      })
      this.#join()
    }
  }

  #join(): void {
    if (this.growth.wanted <= this.links) this.links = this.growth.wanted
    else if (++this.#waitedLooks >= this.joinLooks) {
      this.links = this.growth.wanted
      this.#waitedLooks = 0
    }
  }
}

describe('the number of links', () => {
  test('rises to the most, in a few seconds, on a path that loses packets and gets faster with each', () => {
    const path = new Path()
    path.run(5_000)
    assert.equal(path.growth.wanted, MAX_LINKS)
  })

  test('stays one on a path that acknowledges steadily, however full it is', () => {
    const path = new Path()
    path.stallsPerLook = 0
    path.run(60_000)
    assert.equal(path.growth.wanted, 1)
  })

  test('stays one for stalls of small requests, before any data had to wait', () => {
    const path = new Path()
    path.stallsPerLook = 0
    path.stalls = 8
    path.run(60_000)
    path.run(60_000, false)
    path.stalls += 8
    path.run(60_000)
    assert.equal(path.growth.wanted, 1)
  })

  test('stays one for a stall now and then', () => {
    const path = new Path()
    path.stallsPerLook = 0.1
    path.run(60_000)
    assert.equal(path.growth.wanted, 1)
  })

  test('goes back where more links bring less than a fifth more, and tries again later and later', () => {
    const path = new Path()
    path.most = 110_000
    const tries: number[] = []
    for (let before = 1; path.now < 120_000; before = path.growth.wanted) {
      path.run(100)
      if (path.growth.wanted > before) tries.push(path.now)
      assert.ok(path.growth.wanted <= 4)
    }
    const pauses = tries.slice(1).map((at, index) => at - (tries[index] ?? 0))
    assert.ok(tries.length >= 3 && tries.length <= 4, `${tries.length} tries`)
    assert.ok(
      pauses.every((pause, index) => index === 0 || pause > 1.5 * (pauses[index - 1] ?? 0)),
      pauses.join(),
    )
  })

  test('is judged after the links have joined, and in time also where none ever does', () => {
    const slow = new Path()
    slow.joinLooks = 8
    slow.run(4_000)
    assert.deepEqual([slow.links, slow.growth.wanted], [4, 4])
    const never = new Path()
    never.joinLooks = Number.POSITIVE_INFINITY
    never.run(10_000)
    assert.deepEqual([never.links, never.growth.wanted], [1, 1])
  })

  test('is one again when nothing has waited for 10 s, and then nobody looks any more', () => {
    const path = new Path()
    path.run(15_000)
    path.run(9_000, false)
    assert.equal(path.growth.wanted, MAX_LINKS)
    path.run(2_000, false)
    assert.deepEqual([path.growth.wanted, path.growth.deadline], [1, Number.POSITIVE_INFINITY])
  })

  test('a pause in a try says nothing against it', () => {
    const path = new Path()
    path.run(1_600)
    assert.equal(path.growth.wanted, 4)
    path.run(3_000, false)
    path.run(3_000)
    assert.equal(path.growth.wanted, MAX_LINKS)
  })
})
