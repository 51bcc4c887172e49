import { KeptStreams } from '../../../agent/kept-streams.ts'
import type { Principal } from '../../../relay/authority/identify.ts'
import { createHealth } from '../../../relay/gateway/health.ts'
import { type LiveSession, Sessions } from '../../../relay/gateway/sessions.ts'
import { Streams } from '../../../relay/gateway/streams.ts'
import { RelayCounts } from '../../../relay/metrics/counts.ts'
import { isTunnelError, TunnelError } from '../../../shared/errors.ts'
import { decodeOpenMeta, encodeOpenOkMeta } from '../../../shared/handshake/open.ts'
import { createLog } from '../../../shared/log.ts'
import { isReattach, type OpenFrame } from '../../../shared/mux/session-handler.ts'
import { Resumption } from '../../../shared/tunnel/resumption.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { Wire } from '../../support/lossy-wire.ts'
import { SessionEnd } from '../../support/session-end.ts'
import { type Ledger, StreamProbe } from '../../support/stream-probe.ts'

const LOG = createLog({ level: 'silent' })
const LOST = new TunnelError('SESSION_LOST')
const SOURCE = '192.0.2.1'

/** A relay process, with the real choice of agents. */
interface RelayRun {
  readonly sessions: Sessions
  readonly streams: Streams
  readonly ends: Set<SessionEnd>
}

/** An agent process. A later one of the same agent knows nothing of what this one did. */
interface AgentRun {
  readonly id: string
  readonly instance: string
  readonly kept: KeptStreams
  readonly ends: Set<SessionEnd>
  isAlive: boolean
}

/** A connector's stream, with how often its target was reached, by whomever. */
export interface OpenedStream {
  readonly opener: StreamProbe
  dials: number
}

export interface AgentsWorldOptions {
  readonly seed: number
  readonly agents: number
  /** With more than one each agent has a session with each, and the connector moves from one to the other. */
  readonly relays: number
}

/**
 * A connector, relays and the agents of one site in virtual time: everything that decides which agent gets an OPEN is the real
 * thing. Chance decides by the seed alone.
 */
export class AgentsWorld {
  readonly effects: FakeEffects
  readonly opened: OpenedStream[] = []
  readonly #ledger: Ledger = { unreleased: 0 }
  readonly #options: AgentsWorldOptions
  readonly #relays: RelayRun[]
  readonly #agents: AgentRun[]
  readonly #resumption: Resumption<null>
  /** The connector's newest session, and the relay at its end. */
  #path: { readonly end: SessionEnd; readonly relay: RelayRun } | undefined
  #names = 0

  constructor(options: AgentsWorldOptions) {
    this.effects = new FakeEffects({ seed: options.seed })
    this.#options = options
    this.#relays = Array.from({ length: options.relays }, () => this.#startRelay())
    this.#agents = Array.from({ length: options.agents }, (_, index) => this.#startAgent(`agent-${index}`))
    this.#resumption = new Resumption({
      effects: this.effects,
      path: () => {
        if (this.#path?.end.session.isOpen !== true) throw new TunnelError('RELAY_UNREACHABLE')
        const { end, relay } = this.#path
        return { session: end.session, relay: relay.sessions.instance }
      },
    })
    this.#connect()
  }

  /** A whole number below `count`. */
  below(count: number): number {
    return Math.floor(this.effects.random() * count)
  }

  /** Opens a stream, where there is a session. */
  open(): void {
    const number = this.opened.length
    const opener = new StreamProbe({ expects: 1, writes: 0, ledger: this.#ledger })
    const opened = opener.opened.bind(opener)
    opener.opened = (meta) => {
      opened(meta)
      opener.live.end()
    }
    try {
      const meta = { resource: `berlin/r${number}`, protocol: 'tcp' as const }
      opener.stream = this.#resumption.open(null, meta, opener)
    } catch (error) {
      if (!isTunnelError(error)) throw error
      return
    }
    this.opened.push({ opener, dials: 0 })
  }

  /** Cuts the connector's session. */
  cutConnector(): void {
    const { end, relay } = this.#path ?? {}
    const far = [...(relay?.ends ?? [])].at(-1)
    for (const one of [end, far]) if (one !== undefined) this.#cut(one)
  }

  /** Cuts one session of an agent, or all that it has. */
  cutAgent(): void {
    const agent = this.#agents[this.below(this.#agents.length)]
    const isAll = this.below(2) === 0
    for (const end of [...(agent?.ends ?? [])].slice(isAll ? 0 : -1)) this.#cut(end)
  }

  /** Kills a relay; another run of it takes its place. */
  killRelay(): void {
    const index = this.below(this.#relays.length)
    const relay = this.#relays[index]
    if (relay === undefined) return
    for (const end of relay.ends) end.out.isCarrying = false
    for (const end of [...relay.ends]) end.fail(LOST)
    relay.sessions.stop()
    this.#relays[index] = this.#startRelay()
  }

  /** Kills an agent; another run of it takes its place, or none. */
  killAgent(isBack: boolean): void {
    const index = this.below(this.#agents.length)
    const agent = this.#agents[index]
    if (agent === undefined) return
    agent.isAlive = false
    for (const end of agent.ends) end.out.isCarrying = false
    for (const end of [...agent.ends]) end.fail(LOST)
    if (isBack) this.#agents[index] = this.#startAgent(agent.id)
  }

  /** Stops what would go on for ever. */
  stop(): void {
    for (const relay of this.#relays) relay.sessions.stop()
  }

  /** Each end notices when it will. */
  #cut(end: SessionEnd): void {
    if (this.effects.random() < 0.5) end.out.isCarrying = false
    if (this.effects.random() < 0.3) end.fail(LOST)
    else this.effects.after(this.below(3_000), () => end.fail(LOST))
  }

  #startRelay(): RelayRun {
    const { effects } = this
    const common = { effects, log: LOG }
    const sessions: Sessions = new Sessions({
      ...common,
      copies: { replaced: () => undefined },
      findAgent: async () => undefined,
      onAgent: (place) => streams.agentCame(place),
    })
    const streams: Streams = new Streams({
      ...{ ...common, sessions, audit: () => undefined, counts: new RelayCounts(effects) },
      enforcement: {
        add: () => undefined,
        remove: () => undefined,
        check: () => undefined,
        authorize: () => effects.sleep(this.below(2) * this.below(300), new AbortController().signal),
      },
      countAgents: async () => this.#options.agents,
    })
    return { sessions, streams, ends: new Set() }
  }

  #startAgent(id: string): AgentRun {
    const instance = `${this.#names++}`
    const agent = { id, instance, kept: new KeptStreams(this.effects, LOG), ends: new Set<SessionEnd>() }
    const run: AgentRun = { ...agent, isAlive: true }
    const sessionsEach = this.#options.relays === 1 ? 2 : 1
    for (let relay = 0; relay < this.#options.relays; relay++)
      for (let count = 0; count < sessionsEach; count++) this.#connectAgent(run, relay)
    return run
  }

  #connectAgent(agent: AgentRun, index: number): void {
    const relay = this.#relays[index]
    if (!agent.isAlive || relay === undefined) return
    const principal: Principal = {
      ...{ kind: 'agent', tenantId: 'default', environment: 'default', site: 'berlin', id: agent.id },
      ...{ serial: '', generation: 1, notAfter: Number.POSITIVE_INFINITY },
    }
    const held = relay.sessions.list().map(({ name }) => name)
    const end = this.#join(relay, { principal, instance: agent.instance, held }, (near, frame) =>
      this.#opening(agent, near, frame),
    )
    agent.ends.add(end)
    this.#whenOver(end, () => {
      agent.ends.delete(end)
      this.effects.after(this.below(2_000), () => this.#connectAgent(agent, index))
    })
  }

  #connect(): void {
    const relay = this.#relays[this.below(this.#relays.length)]
    if (relay === undefined) return
    const principal: Principal = {
      ...{ kind: 'connector', tenantId: 'default', environment: 'default', id: 'connector-1', name: 'dev' },
      ...{ serial: '', generation: 1, notAfter: Number.POSITIVE_INFINITY },
    }
    const end = this.#join(relay, { principal, instance: 'c', held: [] }, () => {
      throw new TunnelError('REFUSED')
    })
    this.#path = { end, relay }
    this.#whenOver(end, () => this.effects.after(this.below(1_000), () => this.#connect()))
    this.effects.after(400, () => this.#resumption.tryNow(() => true))
  }

  #whenOver(end: SessionEnd, then: () => void): void {
    const fail = end.fail.bind(end)
    end.fail = (error) => {
      const wasOver = end.error !== undefined
      fail(error)
      if (!wasOver) then()
    }
  }

  /** A session with `relay`. @returns the other party's end */
  #join(
    relay: RelayRun,
    who: { principal: Principal; instance: string; held: readonly string[] },
    opening: (end: SessionEnd, frame: OpenFrame) => void,
  ): SessionEnd {
    const { effects } = this
    const delayMs = [0, 1, 20, 150][this.below(4)] ?? 0
    const [up, down] = [new Wire({ effects, delayMs }), new Wire({ effects, delayMs })]
    const common = { effects, ledger: this.#ledger, pingIntervalMs: 1e9 }
    const near = new SessionEnd({ ...common, role: 'peer', out: up, opening })
    const far = new SessionEnd({
      ...{ ...common, role: 'relay', out: down },
      opening: (_end, frame) => relay.streams.route(frame, live),
    })
    up.connect(far, () => near.flush())
    down.connect(near, () => far.flush())
    const live: LiveSession = {
      ...{ name: `${this.#names++}`, principal: who.principal, session: far.session, instance: who.instance },
      ...{ product: '', release: undefined, sourceAddress: SOURCE, connectedAt: 0, linkKey: undefined },
      ...{ generation: relay.sessions.nextGeneration(), health: createHealth() },
      close: (error) => far.fail(error),
    }
    near.session.greet('HELLO', Uint8Array.of(0xa0))
    relay.ends.add(far)
    relay.sessions.add(live, who.held)
    this.#whenOver(far, () => {
      relay.ends.delete(far)
      relay.sessions.remove(live, 'SESSION_LOST')
    })
    return near
  }

  /** What AgentStreams does, with targets that are reached after a while. */
  #opening(agent: AgentRun, end: SessionEnd, frame: OpenFrame): void {
    const meta = decodeOpenMeta(frame.meta)
    const { kept, id } = agent
    const answer = encodeOpenOkMeta({ dialMs: 0, agent: id, resumable: true })
    const known = isReattach(frame) ? kept.claim(meta, () => true) : kept.checkNew(meta)
    if (known !== undefined) {
      end.session.adopt(frame, known, answer)
      return
    }
    const probe = new StreamProbe({ expects: 0, writes: 1, ledger: this.#ledger })
    let isReached = false
    const close = probe.closed.bind(probe)
    probe.closed = (error) => {
      close(error)
      kept.ended(stream, meta, { error, isReached })
    }
    const stream = end.session.admit(frame, probe)
    probe.stream = stream
    kept.keep(stream, meta, true)
    this.effects.after(this.below(2) * this.below(400), () => {
      if (stream.isClosed || !agent.isAlive) return
      isReached = true
      const number = Number(meta.resource.slice(1))
      const opened = this.opened[number]
      if (opened !== undefined) opened.dials++
      stream.accept(answer, this.effects.now())
      stream.end()
    })
  }
}
