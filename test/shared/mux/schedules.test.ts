import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { FakeEffects } from '../../support/fake-effects.ts'
import type { SessionEnd } from '../../support/session-end.ts'
import { createPair, createRelayed } from '../../support/session-pair.ts'
import type { StreamProbe } from '../../support/stream-probe.ts'

type StreamAction =
  | { kind: 'write'; probe: number; length: number; piece: number }
  | { kind: 'end' | 'reset' | 'stop' | 'eager' | 'lazy'; probe: number }
  | { kind: 'consume'; probe: number; length: number }
type Action =
  | StreamAction
  | { kind: 'open'; end: number }
  | { kind: 'pause' | 'resume'; wire: number }
  | { kind: 'pass'; ms: number }

const probe = fc.nat(30)
const of = <Kind extends string>(...kinds: Kind[]) => fc.constantFrom(...kinds)
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: of('open'), end: fc.nat(1) }) },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: of('write'),
      probe,
      length: fc.oneof(fc.nat(300), fc.nat(100_000)),
      piece: fc.oneof(fc.integer({ min: 20, max: 300 }), fc.integer({ min: 1_000, max: 70_000 })),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: of('end'), probe }) },
  { weight: 3, arbitrary: fc.record({ kind: of('eager', 'lazy', 'stop', 'reset'), probe }) },
  { weight: 4, arbitrary: fc.record({ kind: of('consume'), probe, length: fc.nat(200_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: of('pause', 'resume'), wire: fc.nat(3) }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: of('pass'), ms: fc.oneof(fc.nat(3), fc.nat(60), fc.nat(5_000)) }),
  },
)

/** What a schedule runs on: the ends that open, all ends, and how to check that nothing is left. */
interface World {
  readonly effects: FakeEffects
  readonly openers: readonly SessionEnd[]
  readonly acceptors: readonly SessionEnd[]
  readonly ends: readonly SessionEnd[]
  assertClean(): void
}

interface WorldOptions {
  readonly seed: number
  readonly delayMs: number
  readonly rate: number
  readonly cuts: 'none' | 'random'
  readonly decideMs: number
  /** So long that a paused wire is never taken for a dead peer. */
  readonly pingIntervalMs: number
}

const worldOptions: fc.Arbitrary<WorldOptions> = fc.record({
  seed: fc.integer({ min: 1, max: 0xffff_ffff }),
  delayMs: fc.constantFrom(0, 1, 20),
  rate: fc.constantFrom(Number.POSITIVE_INFINITY, 2_000, 200),
  cuts: fc.constantFrom('none' as const, 'random' as const),
  decideMs: fc.constantFrom(0, 50),
  pingIntervalMs: fc.constant(1e9),
})

/** Each opener's stream has a seed of its own, so the two probes of a stream find each other and no byte fits another. */
class Schedule {
  readonly #world: World
  readonly #opened: StreamProbe[] = []

  constructor(world: World) {
    this.#world = world
  }

  run(actions: readonly Action[]): void {
    for (const step of actions) this.#act(step)
    this.#settle()
    for (const opener of this.#opened) this.#compare(opener)
    this.#world.assertClean()
  }

  get #accepted(): StreamProbe[] {
    return this.#world.acceptors.flatMap((end) => end.accepted)
  }

  #act(step: Action): void {
    const { effects, openers, ends } = this.#world
    switch (step.kind) {
      case 'pass':
        effects.advance(step.ms)
        return
      case 'pause':
      case 'resume':
        ends[step.wire % ends.length]?.out[step.kind]()
        return
      case 'open': {
        const end = openers[step.end % openers.length]
        if (end !== undefined && this.#opened.length < 20)
          this.#opened.push(end.open(this.#opened.length * 2))
        return
      }
      default:
        this.#actOnStream(step)
    }
  }

  #actOnStream(step: StreamAction): void {
    const probes = [...this.#opened, ...this.#accepted]
    const target = probes[step.probe % Math.max(1, probes.length)]
    if (target === undefined || target.closedWith !== undefined) return
    if (step.kind === 'write') {
      if (target.live.isWriting) target.write(step.length, step.piece)
    } else if (step.kind === 'consume') target.consume(step.length)
    else if (step.kind === 'end') target.live.end()
    else if (step.kind === 'reset') target.live.reset('CANCELLED')
    else if (step.kind === 'stop') {
      target.consume(Number.POSITIVE_INFINITY)
      target.live.stop('CANCELLED')
    } else target.isEager = step.kind === 'eager'
  }

  /** The wires run, every reader reads and every writer ends: then all streams have to end. */
  #settle(): void {
    const { effects, ends } = this.#world
    for (const end of ends) end.out.resume()
    effects.advance(100)
    for (let round = 0; round < 60; round++) {
      for (const live of [...this.#opened, ...this.#accepted]) {
        if (live.closedWith !== undefined) continue
        live.isEager = true
        live.consume(Number.POSITIVE_INFINITY)
        live.live.end()
      }
      effects.advance(1_000)
    }
    for (const end of ends) assert.equal(end.error, undefined)
  }

  #compare(opener: StreamProbe): void {
    const acceptor = this.#accepted.find((candidate) => candidate.expects === opener.writes)
    // Each end may have been reset for its own reason, and one may have ended cleanly just before the other's RESET.
    for (const end of [opener, acceptor ?? opener]) {
      assert.notEqual(end.closedWith, undefined, 'a stream is left')
      assert.ok([undefined, 'CANCELLED', 'OPEN_TIMEOUT'].includes(end.code), end.code)
    }
    if (acceptor === undefined) assert.notEqual(opener.closedWith, null)
    if (acceptor?.closedWith !== null || opener.closedWith !== null) return
    for (const [reader, writer] of [
      [opener, acceptor],
      [acceptor, opener],
    ] as const) {
      // After a STOP the writer cut its end short; before it every byte counts.
      if (writer.stops.length === 0 && reader.ends === 1) assert.equal(reader.received, writer.written)
      else assert.ok(reader.received <= writer.written)
    }
  }
}

describe('any schedule of opens, writes, ends, resets, stops and pauses', () => {
  test('delivers what was written and leaves nothing behind, between two sessions', () => {
    fc.assert(
      fc.property(
        worldOptions,
        fc.array(action, { minLength: 10, maxLength: 80, size: 'max' }),
        (options, actions) => {
          const pair = createPair(options)
          const ends = [pair.peer, pair.relay]
          new Schedule({ ...pair, openers: ends, acceptors: ends, ends }).run(actions)
        },
      ),
      { numRuns: 250 },
    )
  })

  test('delivers what was written and leaves nothing behind, through a relay', () => {
    fc.assert(
      fc.property(
        worldOptions,
        fc.array(action, { minLength: 10, maxLength: 80, size: 'max' }),
        (options, actions) => {
          const relayed = createRelayed(options)
          const { connector, agent, toConnector, toAgent } = relayed
          const ends = [connector, agent, toConnector, toAgent]
          new Schedule({ ...relayed, openers: [connector], acceptors: [agent], ends }).run(actions)
        },
      ),
      { numRuns: 250 },
    )
  })
})
