import assert from 'node:assert/strict'
import { isTunnelError } from '../../shared/errors.ts'
import { Route } from '../../shared/mux/route.ts'
import type { Session } from '../../shared/mux/session.ts'
import type { OpenFrame } from '../../shared/mux/session-handler.ts'
import { FakeEffects } from './fake-effects.ts'
import type { LinkShell } from './link-shell.ts'
import { Wire, type WireOptions } from './lossy-wire.ts'
import { SessionEnd } from './session-end.ts'
import type { Ledger } from './stream-probe.ts'

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

/** Adds a link between two ends of a session, with a wire of its own each way. */
export function joinLink(
  effects: FakeEffects,
  [near, far]: readonly [SessionEnd, SessionEnd],
  options: Omit<WireOptions, 'effects'> = {},
): [LinkShell, LinkShell] {
  const wires = [new Wire({ effects, ...options }), new Wire({ effects, ...options })] as const
  const shells: [LinkShell, LinkShell] = [near.join(wires[0]), far.join(wires[1])]
  wires[0].connect(shells[1], () => shells[0].flush())
  wires[1].connect(shells[0], () => shells[1].flush())
  return shells
}
