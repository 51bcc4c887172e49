import assert from 'node:assert/strict'
import net from 'node:net'
import { describe, it } from 'node:test'
import { seededRandom } from '../support/fake-effects.ts'
import { offerAt, startLossyPath } from './lossy-path.ts'
import { contentTarget, exchangeContent } from './own-content.ts'
import { startWorld } from './world.ts'

/**
 * F04: node test/faults/lossy-streams.ts (Linux, root, python3; minutes)
 * 200 streams of 1 B to 64 MiB each way at once, over a path of 40 +- 5 ms each way that loses 2 % of all packets.
 */

const STREAMS = 200
const MIB = 1024 * 1024

/** One stream each way is as long as that, the others are anything up to a mebibyte, most of them short. */
const LARGEST_BYTES = 64 * MIB

function sizesOf(id: number, random: () => number): { id: number; up: number; down: number } {
  const some = () => Math.max(1, Math.round(MIB ** random()))
  return { id, up: id === 1 ? LARGEST_BYTES : some(), down: id === 2 ? LARGEST_BYTES : some() }
}

describe('F04: two hundred streams over a path with loss', () => {
  it('F04: arrive whole, in order and none in the place of another', async () => {
    await using path = await startLossyPath({ delayMs: 40, jitterMs: 5, lossPercent: 2 })
    await using target = await contentTarget()
    using _offer = await offerAt(path.cleanAddress, target.port)
    await using world = await startWorld({ listen: `${path.address}:0` })
    await world.startAgent({
      prefix: path.far,
      targets: { content: `${path.cleanAddress}:${target.port}` },
    })
    const port = await world.publish('berlin/content')
    const random = seededRandom(4)
    const sizes = Array.from({ length: STREAMS }, (_, index) => sizesOf(index + 1, random))
    const began = performance.now()
    await Promise.all(
      sizes.map((one) => exchangeContent(net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }), one)),
    )
    const seconds = (performance.now() - began) / 1_000
    const bytes = sizes.reduce((sum, { up, down }) => sum + up + down, 0)
    process.stdout.write(`    ${(bytes / MIB).toFixed(0)} MiB in ${seconds.toFixed(0)} s\n`)
    assert.ok(seconds > 0)
  })
})
