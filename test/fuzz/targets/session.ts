import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isTunnelError, TunnelError } from '../../../shared/errors.ts'
import { encodeControl } from '../../../shared/mux/encode.ts'
import type { FrameSink } from '../../../shared/mux/link.ts'
import { Route } from '../../../shared/mux/route.ts'
import { Session } from '../../../shared/mux/session.ts'
import { SESSION_LIMITS } from '../../../shared/mux/session-limits.ts'
import type { Stream } from '../../../shared/mux/stream.ts'
import type { StreamHandler } from '../../../shared/mux/stream-handler.ts'
import { createWindowBudget } from '../../../shared/mux/window.ts'
import { closeFrames } from '../../shared/mux/frame-arbitraries.ts'
import { encodeAny } from '../../shared/mux/frame-collector.ts'
import { seededRandom } from '../../support/fake-effects.ts'
import { withDamage } from '../damage.ts'
import type { FuzzTarget } from '../target.ts'

const HELLO = encodeControl({ type: 'HELLO', id: 0, meta: Uint8Array.of(0xa0) })

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

/** Runs `bytes`, cut into pieces of `sizes`. */
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
    if (!isTunnelError(error)) throw error
    end = error
  }
  target.assertNothingLeft(end)
}

/** Two streams that end here, two routes, and one that is never answered. */
const STREAMS = [1, 3, 7, 9, 11]

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

/** Cuts that the bytes themselves decide, so that a kept input is cut as it was. */
function cutsOf(bytes: Uint8Array): number[] {
  const random = seededRandom(bytes.reduce((sum, byte) => (sum * 31 + byte) >>> 0, bytes.length))
  return Array.from({ length: 40 }, () => 1 + Math.floor(random() * 60))
}

/**
 * A relay's session with streams, routes, and whatever a peer says. Whatever that is: nothing but a TunnelError comes out of
 * it, and when it is closed nothing is left.
 */
export const session: FuzzTarget = {
  name: 'session',
  inputs: fc.oneof(
    { weight: 9, arbitrary: withDamage(conversation) },
    {
      weight: 1,
      arbitrary: fc
        .uint8Array({ maxLength: 2_000, size: 'max' })
        .map((noise) => Uint8Array.from([...HELLO, ...noise])),
    },
  ),
  check(bytes) {
    run(bytes)
    run(bytes, cutsOf(bytes))
    run(
      bytes,
      Array.from(bytes, () => 1),
    )
  },
}
