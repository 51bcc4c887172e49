import { KeptStreams } from '../../../agent/kept-streams.ts'
import { isTunnelError, TunnelError } from '../../../shared/errors.ts'
import {
  decodeOpenMeta,
  encodeOpenMeta,
  encodeOpenOkMeta,
  type OpenMeta,
} from '../../../shared/handshake/open.ts'
import { createLog } from '../../../shared/log.ts'
import { Route } from '../../../shared/mux/route.ts'
import type { Session } from '../../../shared/mux/session.ts'
import { isReattach, type OpenFrame } from '../../../shared/mux/session-handler.ts'
import type { Stream } from '../../../shared/mux/stream.ts'
import { Resumption } from '../../../shared/tunnel/resumption.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { Wire } from '../../support/lossy-wire.ts'
import { SessionEnd } from '../../support/session-end.ts'
import { type Ledger, StreamProbe } from '../../support/stream-probe.ts'

const AGENT = 'agent-1'
const OPENER = 'connector:dev'
const LOG = createLog({ level: 'silent' })

/** Answers "not now" that a search for a path has to live with. */
const NOT_NOW = ['AGENT_OFFLINE', 'OVERLOADED', 'REFUSED', 'DRAINING', 'ENHANCE_CALM'] as const

export interface WorldOptions {
  readonly seed: number
  /** With a relay between the two ends, or session to session. */
  readonly isRelayed: boolean
}

/** One stream, seen from both its ends. */
export interface Pair {
  readonly resource: string
  readonly opener: StreamProbe
  /** One for each time that the agent reached the target. */
  readonly accepted: StreamProbe[]
  /** Its very first OPEN found no agent: it ends with that, at once. */
  isTurnedAway: boolean
}

/** How a resource behaves, by the first letter of its name. */
const KIND = { refused: 'x', mortal: 'm', kept: 'k' } as const

/**
 * A connector and an agent with everything between them that gives streams a new path, in virtual time: sessions that come
 * back by themselves, a relay or none, the opener's search and the agent's memory. Chance decides by the seed alone.
 */
export class SurvivalWorld {
  readonly effects: FakeEffects
  readonly ledger: Ledger = { unreleased: 0 }
  readonly ends: SessionEnd[] = []
  readonly routes: Route[] = []
  readonly pairs: Pair[] = []
  readonly resumption: Resumption<null>
  readonly kept: KeptStreams
  /** Chance in 1 that a search for a path is told "not now". */
  refusals = 0
  /** False: a session that ends has no successor. */
  isReconnecting = true
  readonly #isRelayed: boolean
  readonly #budgetBytes: number
  /** Ends of the living sessions; those that the relay has, where there is one. */
  #connector: SessionEnd | undefined
  #agent: SessionEnd | undefined
  #toConnector: SessionEnd | undefined
  /** The newest last. */
  readonly #toAgents: SessionEnd[] = []
  #openRoutes = 0

  constructor({ seed, isRelayed }: WorldOptions) {
    this.effects = new FakeEffects({ seed })
    this.#isRelayed = isRelayed
    this.#budgetBytes = this.below(2) * 64 * 1_048_576
    this.kept = new KeptStreams(this.effects, LOG)
    this.resumption = new Resumption({ effects: this.effects, path: () => ({ session: this.#session() }) })
    if (isRelayed) this.#connectAgent()
    this.#connectConnector()
    this.effects.advance(1_000)
  }

  /** Routes that the relay has not forgotten. */
  get openRoutes(): number {
    return this.#openRoutes
  }

  /** A whole number below `count`. */
  below(count: number): number {
    return Math.floor(this.effects.random() * count)
  }

  /** Opens a stream; undefined where there is no session now. */
  open(kind: keyof typeof KIND): Pair | undefined {
    const seed = this.pairs.length * 2
    const resource = `${KIND[kind]}${seed}`
    const opener = new StreamProbe({ expects: seed + 1, writes: seed, ledger: this.ledger })
    const pair: Pair = { resource, opener, accepted: [], isTurnedAway: false }
    try {
      opener.stream = this.resumption.open(null, { resource: `berlin/${resource}`, protocol: 'tcp' }, opener)
    } catch (error) {
      if (!isTunnelError(error)) throw error
      return undefined
    }
    this.pairs.push(pair)
    return pair
  }

  /** The link is cut and both its ends notice when they will; `which` is a number of any size. */
  cut(which: number): void {
    const links = [
      [this.#connector, this.#toConnector],
      [this.#agent, this.#toAgent],
    ].filter(([near]) => near !== undefined)
    const link = links[which % Math.max(1, links.length)]
    if (link === undefined) return
    const isSilent = this.effects.random() < 0.4
    for (const end of link) {
      if (end === undefined) continue
      if (isSilent) end.out.isCarrying = false
      this.#failSoon(end, this.effects.random() < 0.3 ? 0 : this.below(3_000))
    }
  }

  /** The relay is killed: what it had not sent is gone, and nobody is told. */
  killRelay(): void {
    const relayEnds = [this.#toConnector, this.#toAgent]
    for (const end of relayEnds) if (end !== undefined) end.out.isCarrying = false
    for (const end of relayEnds) end?.fail(new TunnelError('SESSION_LOST'))
  }

  /** A new session of either side takes the place of the old one, which still carries its streams for a while. */
  replace(which: number): void {
    const isConnector = which % 2 === 0 || !this.#isRelayed
    const old = isConnector ? this.#connector : this.#agent
    if (isConnector) this.#connectConnector()
    else this.#connectAgent()
    if (old !== undefined) this.#failSoon(old, this.below(2_000))
  }

  /** Ends every session now, and none comes again. */
  closeAll(): void {
    this.isReconnecting = false
    for (const end of this.ends) end.fail(new TunnelError('SESSION_LOST'))
  }

  #failSoon(end: SessionEnd, ms: number): void {
    if (ms === 0) end.fail(new TunnelError('SESSION_LOST'))
    else this.effects.after(ms, () => end.fail(new TunnelError('SESSION_LOST')))
  }

  /** The relay's end of the agent's newest session that lives. */
  get #toAgent(): SessionEnd | undefined {
    return this.#toAgents.findLast(({ session }) => session.isOpen)
  }

  #session(): Session {
    const session = this.#connector?.session
    if (session?.isOpen !== true) throw new TunnelError('RELAY_UNREACHABLE')
    return session
  }

  #connectConnector(): void {
    const [peer, far] = this.#join((end, frame) => {
      if (this.#isRelayed) this.#route(end, frame)
      else this.#opening(end, frame, { ...decodeOpenMeta(frame.meta), opener: OPENER })
    })
    this.#connector = peer
    if (this.#isRelayed) this.#toConnector = far
    this.#watch(peer, () => {
      if (this.#connector === peer) this.#connectConnector()
    })
    this.#whenGreeted(peer, () => this.resumption.tryNow(() => true))
  }

  #connectAgent(): void {
    const [peer, far] = this.#join(
      () => {
        throw new TunnelError('DENIED_BY_RELAY')
      },
      (end, frame) => this.#opening(end, frame, decodeOpenMeta(frame.meta)),
    )
    this.#agent = peer
    this.#watch(peer, () => {
      if (this.#agent === peer) this.#connectAgent()
    })
    this.#whenGreeted(peer, () => {
      // Newest wins, except where both are wanted for a while.
      if (this.effects.random() < 0.5) this.#toAgent?.fail(new TunnelError('REPLACED'))
      this.#toAgents.push(far)
    })
  }

  /** What comes back when `end` is lost. */
  #watch(end: SessionEnd, reconnect: () => void): void {
    const look = () => {
      if (!this.isReconnecting) return
      if (end.error === undefined) this.effects.after(20, look)
      else this.effects.after(this.below(600), () => this.isReconnecting && reconnect())
    }
    look()
  }

  #whenGreeted(end: SessionEnd, then: () => void): void {
    const look = () => {
      if (end.error !== undefined) return
      if (end.greetings === 0) this.effects.after(1, look)
      else then()
    }
    look()
  }

  #join(
    opening: (end: SessionEnd, frame: OpenFrame) => void,
    openingAtPeer: (end: SessionEnd, frame: OpenFrame) => void = () => {
      throw new TunnelError('REFUSED')
    },
  ): [SessionEnd, SessionEnd] {
    const { effects, ledger } = this
    const delayMs = [0, 1, 20, 150][this.below(4)] ?? 0
    const rate = [Number.POSITIVE_INFINITY, 2_000, 200][this.below(3)] ?? 0
    const cuts = this.below(2) === 0 ? ('none' as const) : ('random' as const)
    const wires = [
      new Wire({ effects, delayMs, rate, cuts }),
      new Wire({ effects, delayMs, rate, cuts }),
    ] as const
    const common = { effects, ledger, pingIntervalMs: 1e9, budgetBytes: this.#budgetBytes }
    const peer = new SessionEnd({ ...common, role: 'peer', out: wires[0], opening: openingAtPeer })
    const relay = new SessionEnd({ ...common, role: 'relay', out: wires[1], opening })
    wires[0].connect(relay, () => peer.flush())
    wires[1].connect(peer, () => relay.flush())
    peer.session.greet('HELLO', Uint8Array.of(0xa0))
    this.ends.push(peer, relay)
    return [peer, relay]
  }

  // The relay.

  #route(end: SessionEnd, frame: OpenFrame): void {
    this.#openRoutes++
    const route = new Route(end.session, frame, {
      accepted: () => undefined,
      ended: () => this.#openRoutes--,
    })
    const meta = decodeOpenMeta(frame.meta)
    const kept = { ...frame }
    const isRefused = isReattach(frame) && this.effects.random() < this.refusals
    const refusal = NOT_NOW[this.below(NOT_NOW.length)] ?? 'REFUSED'
    const decide = () => {
      if (route.isOver) return
      const session = this.#toAgent?.session
      if (isRefused) route.end(refusal)
      else if (session === undefined) {
        const pair = this.pairs.find(({ resource }) => meta.resource === `berlin/${resource}`)
        if (pair !== undefined && !isReattach(frame)) pair.isTurnedAway = true
        route.end('AGENT_OFFLINE')
      } else {
        const resource = meta.resource.split('/')[1] ?? ''
        const onward = { ...meta, agent: undefined, resource, opener: OPENER }
        route.forward(session, kept, encodeOpenMeta(onward))
      }
    }
    if (this.below(2) === 0) decide()
    else this.effects.after(this.below(100), decide)
  }

  // The agent, as AgentStreams is one.

  #opening(end: SessionEnd, frame: OpenFrame, meta: OpenMeta): void {
    const resource = meta.resource.split('/').at(-1) ?? ''
    const kept = isReattach(frame) ? this.#claim(meta) : this.kept.checkNew(meta)
    if (kept !== undefined) {
      end.session.adopt(frame, kept, answerFor(resource))
      return
    }
    const seed = Number(resource.slice(1))
    const probe = new StreamProbe({ expects: seed, writes: seed + 1, ledger: this.ledger })
    let isReached = false
    const close = probe.closed.bind(probe)
    probe.closed = (error) => {
      close(error)
      this.kept.ended(stream, meta, { error, isReached })
    }
    const stream = end.session.admit(frame, probe)
    probe.stream = stream
    this.kept.keep(stream, meta, !resource.startsWith(KIND.mortal))
    this.effects.after(this.below(2) * this.below(300), () => {
      if (stream.isClosed) return
      if (resource.startsWith(KIND.refused)) {
        stream.reset('CONNECTION_REFUSED')
        return
      }
      isReached = true
      this.pairs[seed / 2]?.accepted.push(probe)
      stream.accept(answerFor(resource), this.effects.now())
    })
  }

  #claim(meta: OpenMeta): Stream | undefined {
    if (!this.#isRelayed && this.effects.random() < this.refusals) throw new TunnelError('REFUSED')
    return this.kept.claim(meta, () => true)
  }
}

function answerFor(resource: string): Uint8Array {
  return encodeOpenOkMeta({ dialMs: 0, agent: AGENT, resumable: !resource.startsWith(KIND.mortal) })
}
