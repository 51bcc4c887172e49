import assert from 'node:assert/strict'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { DATA_HEAD_BYTES, writeDataHead } from '../../shared/mux/encode.ts'
import type { FrameSink } from '../../shared/mux/link.ts'
import { Route } from '../../shared/mux/route.ts'
import type { Piece } from '../../shared/mux/scheduler.ts'
import { type GoAwayFrame, type OpenFrame, Session } from '../../shared/mux/session.ts'
import type { Stream } from '../../shared/mux/stream.ts'
import { createWindowBudget } from '../../shared/mux/window.ts'
import { FakeEffects } from './fake-effects.ts'
import { Wire, type WireOptions } from './lossy-wire.ts'
import { type Ledger, StreamProbe } from './stream-probe.ts'

/** Bytes a shell gives to its socket beyond what left already. */
const OUTSTANDING_BYTES = 65_536

const BUDGET_BYTES = 64 * 1_048_576

export interface EndOptions {
  readonly role: 'relay' | 'peer'
  readonly effects: FakeEffects
  readonly out: Wire
  readonly ledger: Ledger
  readonly pingIntervalMs?: number
  readonly firstId?: number
  /** What becomes of an OPEN of the peer; without it a probe is put there and accepts at once. */
  readonly opening?: (end: SessionEnd, frame: OpenFrame) => void
}

/** The shell of one session in a test: what SessionSocket is to a real one, over wires in virtual time. */
export class SessionEnd implements FrameSink {
  readonly session: Session
  readonly budget = createWindowBudget(BUDGET_BYTES)
  readonly out: Wire
  readonly ledger: Ledger
  /** Probes of the streams that the peer opened, in order. */
  readonly accepted: StreamProbe[] = []
  readonly goAways: GoAwayFrame[] = []
  greetings = 0
  /** What ended the session, seen from here. */
  error: TunnelError | undefined
  readonly #effects: FakeEffects
  readonly #opening: (end: SessionEnd, frame: OpenFrame) => void
  #parts: Uint8Array[] = []
  #isScheduled = false
  #cancelTimer: () => void = () => {}

  constructor(options: EndOptions) {
    this.#effects = options.effects
    this.out = options.out
    this.ledger = options.ledger
    this.#opening = options.opening ?? ((end, frame) => end.admit(frame).accept(Uint8Array.of(0xa0), end.now))
    this.session = new Session({
      role: options.role,
      budget: this.budget,
      pingIntervalMs: options.pingIntervalMs ?? 20_000,
      now: this.now,
      ...(options.firstId === undefined ? {} : { firstId: options.firstId }),
      handler: {
        greeted: (type) => {
          this.greetings++
          if (type === 'HELLO') this.session.greet('HELLO_OK', Uint8Array.of(0xa0))
        },
        opening: (frame) => this.#opening(this, frame),
        goAway: (frame) => this.goAways.push(frame),
        wake: () => this.#wake(),
      },
    })
    this.#arm()
  }

  get now(): number {
    return this.#effects.now()
  }

  /** Opens a stream whose bytes are the pattern `seed`; those of the far end are `seed + 1`. */
  open(seed = 0, metaBytes = 1): StreamProbe {
    const probe = new StreamProbe({ expects: seed + 1, writes: seed, ledger: this.ledger })
    probe.stream = this.session.open(new Uint8Array(metaBytes).fill(seed), probe)
    return probe
  }

  /** Puts a probe behind an OPEN; the first byte of its meta is the seed of the opener. */
  admit(frame: OpenFrame): Stream {
    const seed = frame.meta[0] ?? 0
    const probe = new StreamProbe({ expects: seed, writes: seed + 1, ledger: this.ledger })
    probe.stream = this.session.admit(frame, probe)
    this.accepted.push(probe)
    return probe.stream
  }

  /** The probe of the stream that the peer opened as number `index`. */
  peer(index = 0): StreamProbe {
    const probe = this.accepted[index]
    assert.ok(probe !== undefined, `stream ${index} was not opened`)
    return probe
  }

  /** Takes bytes from the wire. */
  chunk(bytes: Uint8Array): void {
    this.#guard(() => this.session.receive(bytes, this.now))
  }

  messageEnd(): void {
    this.#guard(() => this.session.endMessage())
  }

  closed(): void {
    this.fail(new TunnelError('SESSION_LOST', 'the connection closed'))
  }

  /** Ends the session from here. */
  fail(error: TunnelError): void {
    if (this.error !== undefined) return
    this.error = error
    this.#cancelTimer()
    this.session.close(error)
    this.out.close()
  }

  control(bytes: Uint8Array): void {
    this.#parts.push(bytes)
  }

  data(piece: Piece): void {
    const head = new Uint8Array(DATA_HEAD_BYTES)
    writeDataHead(head, 0, {
      id: piece.id,
      flags: piece.flags,
      offset: piece.offset,
      length: piece.bytes.length,
    })
    this.#parts.push(head, piece.bytes)
  }

  readonly flush = (): void => {
    this.#isScheduled = false
    this.#guard(() => {
      for (;;) {
        const room = OUTSTANDING_BYTES - this.out.outstanding
        if (room <= 0 || !this.session.hasWork) return
        this.session.transmit(room, this.now, this)
        if (this.#parts.length === 0) return
        // Copied here, as a socket does: the memory of a stream may be used again once it is released.
        this.out.send(Uint8Array.from(Buffer.concat(this.#parts)))
        this.#parts = []
      }
    })
  }

  #wake(): void {
    if (this.#isScheduled || this.error !== undefined) return
    this.#isScheduled = true
    this.#effects.after(0, this.flush)
  }

  /** A TunnelError ends the session; anything else is a bug, and the test fails. */
  #guard(act: () => void): void {
    if (this.error !== undefined) return
    try {
      act()
    } catch (error) {
      if (!isTunnelError(error)) throw error
      this.fail(error)
      return
    }
    this.#arm()
  }

  #arm(): void {
    this.#cancelTimer()
    if (this.session.isClosed) return
    // At least 1 ms, as timers have it: a deadline that rounding left a trifle ahead would be waited for without end.
    const wait = Math.max(1, this.session.deadline - this.now)
    this.#cancelTimer = this.#effects.after(wait, () => this.#guard(() => this.session.tick(this.now)))
  }
}

export interface PairOptions extends Omit<WireOptions, 'effects'> {
  readonly seed?: number
  readonly pingIntervalMs?: number
  readonly firstId?: number
  /** False leaves the greeting to the test. */
  readonly isGreeted?: boolean
  readonly opening?: (end: SessionEnd, frame: OpenFrame) => void
}

/** Two sessions joined by a wire each way. `peer` opens odd ids, `relay` even ones. */
export function createPair(options: PairOptions = {}) {
  const effects = new FakeEffects({ seed: options.seed ?? 1 })
  const ledger: Ledger = { unreleased: 0 }
  const [peer, relay] = joinEnds(effects, ledger, options)
  if (options.isGreeted !== false) greet(peer, effects)
  return {
    effects,
    ledger,
    peer,
    relay,
    /** Lets `ms` pass. */
    run: (ms: number) => effects.advance(ms),
    assertClean: () => assertClean([peer, relay], ledger),
  }
}

function joinEnds(effects: FakeEffects, ledger: Ledger, options: PairOptions): [SessionEnd, SessionEnd] {
  const wires = [new Wire({ effects, ...options }), new Wire({ effects, ...options })] as const
  const common = {
    effects,
    ledger,
    ...(options.pingIntervalMs === undefined ? {} : { pingIntervalMs: options.pingIntervalMs }),
    ...(options.opening === undefined ? {} : { opening: options.opening }),
  }
  const firstId = options.firstId === undefined ? {} : { firstId: options.firstId }
  const peer = new SessionEnd({ ...common, ...firstId, role: 'peer', out: wires[0] })
  const relay = new SessionEnd({ ...common, role: 'relay', out: wires[1] })
  wires[0].connect(relay, () => peer.flush())
  wires[1].connect(peer, () => relay.flush())
  return [peer, relay]
}

function greet(peer: SessionEnd, effects: FakeEffects): void {
  peer.session.greet('HELLO', Uint8Array.of(0xa0))
  effects.advance(1_000)
  assert.equal(peer.greetings, 1)
}

export interface RouteRecord {
  readonly route: Route
  accepts: number
  /** Code of the end; undefined while the route lives. */
  endedWith: number | undefined
  bytes: readonly [number, number]
}

export interface RelayedOptions extends PairOptions {
  /** How long the relay takes to decide about an OPEN, in ms. */
  readonly decideMs?: number
  /** What the relay does with an OPEN of the connector, instead of forwarding it. */
  readonly deciding?: (record: RouteRecord) => void
}

/** A connector and an agent with a relay between them that passes every stream on. */
export function createRelayed(options: RelayedOptions = {}) {
  const effects = new FakeEffects({ seed: options.seed ?? 1 })
  const ledger: Ledger = { unreleased: 0 }
  const routes: RouteRecord[] = []
  const [agent, toAgent] = joinEnds(effects, ledger, options)
  const { opening: _, ...rest } = options
  const [connector, toConnector] = joinEnds(effects, ledger, {
    ...rest,
    opening: (end, frame) => {
      const record = observedRoute(end.session, frame)
      routes.push(record)
      const kept = { ...frame, meta: frame.meta.slice() }
      const forward = () => forwardRoute(record, toAgent.session, kept)
      if (options.deciding !== undefined) options.deciding(record)
      else if (options.decideMs === undefined) forward()
      else effects.after(options.decideMs, forward)
    },
  })
  greet(agent, effects)
  greet(connector, effects)
  return {
    effects,
    ledger,
    connector,
    agent,
    toConnector,
    toAgent,
    routes,
    run: (ms: number) => effects.advance(ms),
    assertClean: () => {
      assertClean([connector, agent, toConnector, toAgent], ledger)
      for (const record of routes) assert.notEqual(record.endedWith, undefined, 'a route is left')
    },
  }
}

function observedRoute(session: Session, frame: OpenFrame): RouteRecord {
  const record: { -readonly [Key in keyof RouteRecord]: RouteRecord[Key] } = {
    route: undefined as unknown as Route,
    accepts: 0,
    endedWith: undefined,
    bytes: [0, 0],
  }
  record.route = new Route(session, frame, {
    accepted: () => record.accepts++,
    ended: (code, toAgent, fromAgent) => {
      assert.equal(record.endedWith, undefined, 'a route ended twice')
      record.endedWith = code
      record.bytes = [toAgent, fromAgent]
    },
  })
  return record
}

function forwardRoute(record: RouteRecord, session: Session, frame: OpenFrame): void {
  if (record.route.isOver) return
  try {
    record.route.forward(session, frame, frame.meta)
  } catch (error) {
    if (!isTunnelError(error)) throw error
    record.route.end(error.code, error.detail)
  }
}

/** Nothing may be left of streams that are over: no entry, no byte kept, no window taken, no chunk unreleased. */
export function assertClean(ends: readonly SessionEnd[], ledger: Ledger): void {
  for (const end of ends) {
    assert.equal(end.session.streamCount, 0, 'streams are left')
    assert.equal(end.budget.used, 0, 'windows are left')
  }
  assert.equal(ledger.unreleased, 0, 'chunks are left')
}
