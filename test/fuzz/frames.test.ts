import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { encodeControl } from '../../shared/mux/encode.ts'
import { FrameReader } from '../../shared/mux/frame-reader.ts'
import type { FrameSink } from '../../shared/mux/link.ts'
import { Route } from '../../shared/mux/route.ts'
import { Session } from '../../shared/mux/session.ts'
import { SESSION_LIMITS } from '../../shared/mux/session-limits.ts'
import type { Stream } from '../../shared/mux/stream.ts'
import type { StreamHandler } from '../../shared/mux/stream-handler.ts'
import { createWindowBudget } from '../../shared/mux/window.ts'
import { closeFrames } from '../shared/mux/frame-arbitraries.ts'
import { encodeAny } from '../shared/mux/frame-collector.ts'
import { toHex } from '../shared/mux/frame-vectors.ts'

/**
 * Bytes from a peer that may be anything. Whatever they are: nothing but a TunnelError comes out of a session, and when it
 * is closed nothing is left. Bytes that once did otherwise are kept in seeds/ as hex and run first.
 */

/** FUZZ_RUNS=100000 looks longer. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 500)

const HELLO = encodeControl({ type: 'HELLO', id: 0, meta: Uint8Array.of(0xa0) })
const SEEDS = new URL('seeds/', import.meta.url)

/** Bytes that a session may hold for so short a conversation: far less than any limit of its own. */
const HELD_BYTES = 4 * 1_048_576

const NOWHERE: FrameSink = { control: () => {}, data: () => {} }

/** The owner of a stream that answers, writes, and consumes every other piece. */
class Owner implements StreamHandler {
  stream: Stream | undefined
  isOver = false
  #pieces = 0

  opened(): void {
    this.#mustLive()
  }

  data(bytes: Uint8Array): void {
    this.#mustLive()
    if (this.#pieces++ % 2 === 0) this.stream?.consume(bytes.length)
  }

  ended(): void {
    this.#mustLive()
    this.stream?.end()
  }

  writable(): void {
    this.#mustLive()
  }

  stopped(): void {
    this.#mustLive()
  }

  closed(): void {
    this.#mustLive()
    this.isOver = true
  }

  #mustLive(): void {
    assert.equal(this.isOver, false, 'called after closed')
  }
}

/** A relay's session under fuzz; streams with ids that 3 divides are routes to a second session, the others end here. */
function createTarget() {
  const budget = createWindowBudget(1 << 26)
  const owners: Owner[] = []
  const onward = createOnward(budget)
  let now = 1_000
  const session = new Session({
    role: 'relay',
    budget,
    pingIntervalMs: 20_000,
    now,
    handler: {
      greeted: () => session.greet('HELLO_OK', Uint8Array.of(0xa0)),
      opening: (frame) => {
        if (frame.id % 3 === 0) {
          new Route(session, frame, { accepted: () => {}, ended: () => {} }).forward(
            onward,
            frame,
            frame.meta,
          )
          return
        }
        const owner = new Owner()
        owners.push(owner)
        owner.stream = session.admit(frame, owner)
        if (frame.id % 5 === 0) throw new TunnelError('DENIED_BY_RELAY')
        if (frame.id % 7 !== 0) owner.stream.accept(Uint8Array.of(0xa0), now)
        owner.stream.write(new Uint8Array(100))
      },
      goAway: () => {},
      wake: () => {},
    },
  })
  return {
    session,
    /** Gives bytes to the session and lets both sessions send. */
    feed(chunk: Uint8Array): void {
      now += 1
      session.receive(chunk, now)
      for (const each of [session, onward]) {
        if (each.hasWork) each.transmit(65_536, now, NOWHERE)
        each.tick(now)
      }
    },
    assertBounded(): void {
      assert.ok(session.streamCount <= SESSION_LIMITS.streams)
      assert.ok(owners.reduce((sum, owner) => sum + (owner.stream?.heldBytes ?? 0), 0) <= HELD_BYTES)
    },
    assertNothingLeft(error: TunnelError): void {
      session.close(error)
      assert.equal(session.streamCount, 0)
      assert.equal(onward.streamCount, 0)
      assert.equal(budget.used, 0)
      for (const owner of owners) assert.equal(owner.isOver, true)
    },
  }
}

function createOnward(budget: ReturnType<typeof createWindowBudget>): Session {
  const onward = new Session({
    role: 'relay',
    budget,
    pingIntervalMs: 20_000,
    now: 1_000,
    handler: { greeted: () => {}, opening: () => {}, goAway: () => {}, wake: () => {} },
  })
  onward.greet('HELLO_OK', Uint8Array.of(0xa0))
  return onward
}

/** Runs `bytes`, cut into pieces of `sizes`, and fails with their hex where something is wrong. */
function run(bytes: Uint8Array, sizes: readonly number[] = []): void {
  const target = createTarget()
  let end = new TunnelError('SESSION_LOST')
  try {
    let at = 0
    for (const size of [...sizes, bytes.length]) {
      if (at >= bytes.length) break
      target.feed(bytes.slice(at, at + size))
      target.assertBounded()
      at += size
    }
  } catch (error) {
    if (!isTunnelError(error)) {
      throw new Error(`keep this in test/fuzz/seeds: ${toHex(bytes)}`, { cause: error })
    }
    end = error
  }
  target.assertNothingLeft(end)
}

/** Two streams that end here, two routes, and one that is never answered. */
const STREAMS = [1, 3, 7, 9, 11]

const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 })

/** Frames behind a greeting and a few streams, as bytes. */
const conversation = fc
  .array(closeFrames(STREAMS), { minLength: 1, maxLength: 40, size: 'max' })
  .map((frames) =>
    Uint8Array.from([...HELLO, ...openStreams(), ...frames.flatMap((frame) => [...encodeAny(frame)])]),
  )

function openStreams(): number[] {
  const meta = Uint8Array.of(0xa0)
  const common = { type: 'OPEN', flags: 0, maxOffset: 65_536, priority: 0, hops: 0, meta } as const
  return STREAMS.flatMap((id) => [...encodeControl({ ...common, id, earlyData: Uint8Array.of(1, 2, 3) })])
}

/** Damage of the kinds that find faults: a byte changed, a stretch cut out, repeated or moved. */
type Damage = { kind: 'set' | 'cut' | 'repeat'; at: number; length: number; value: number }
const damage: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom('set' as const, 'cut' as const, 'repeat' as const),
  at: fc.nat(2_000),
  length: fc.integer({ min: 1, max: 40 }),
  value: fc.nat(255),
})

function damaged(bytes: Uint8Array, damages: readonly Damage[]): Uint8Array {
  let all = [...bytes]
  for (const { kind, at, length, value } of damages) {
    const from = at % Math.max(1, all.length)
    if (kind === 'set') all[from] = value
    else if (kind === 'cut') all.splice(from, length)
    else all = [...all.slice(0, from + length), ...all.slice(from)]
  }
  return Uint8Array.from(all)
}

describe('a session that is given', () => {
  for (const name of readdirSync(SEEDS).filter((file) => file.endsWith('.hex'))) {
    test(`the bytes of seeds/${name} stays whole`, () => {
      const hex = readFileSync(new URL(name, SEEDS), 'utf8').replace(/#.*|\s/g, '')
      const bytes = Uint8Array.from(Buffer.from(hex, 'hex'))
      run(bytes)
      run(
        bytes,
        Array.from(bytes, () => 1),
      )
    })
  }

  test('random bytes stays whole, with and without a greeting', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.uint8Array({ maxLength: 2_000, size: 'max' }),
        sizes,
        (greets, bytes, cuts) => run(greets ? Uint8Array.from([...HELLO, ...bytes]) : bytes, cuts),
      ),
      { numRuns: RUNS },
    )
  })

  test('valid frames in any order stays whole', () => {
    fc.assert(fc.property(conversation, sizes, run), { numRuns: RUNS * 2 })
  })

  test('damaged frames stays whole', () => {
    fc.assert(
      fc.property(
        conversation,
        fc.array(damage, { minLength: 1, maxLength: 8 }),
        sizes,
        (bytes, damages, cuts) => run(damaged(bytes, damages), cuts),
      ),
      { numRuns: RUNS * 2 },
    )
  })
})

describe('a reader', () => {
  test('keeps at most one control frame, whatever it waits for', () => {
    const before = process.memoryUsage().arrayBuffers
    const readers = Array.from({ length: 300 }, () => {
      const reader = new FrameReader({ data: () => {}, control: () => {} })
      reader.push(Uint8Array.of(1, 0, 0x3f, 0xf0, 0, 0, 0, 1))
      for (let count = 0; count < 1_000; count++) reader.push(Uint8Array.of(count & 0xff))
      return reader
    })
    const kept = (process.memoryUsage().arrayBuffers - before) / readers.length
    // Single bytes that were read lie about until they are collected; a frame of 16 KiB is what is really kept.
    assert.ok(kept < 3 * 16_384, `${kept} bytes a reader`)
    for (const reader of readers) assert.equal(reader.isAtBoundary, false)
  })
})
