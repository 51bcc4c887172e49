import { unlessAborted } from '../shared/abort.ts'
import type { Effects } from '../shared/effects.ts'
import type { TunnelError } from '../shared/errors.ts'
import { formatRelayAddress, type RelayAddress } from '../shared/identity/relay-address.ts'
import type { Logger } from '../shared/log.ts'
import type { ClientTunnel } from '../shared/tunnel/client-tunnel.ts'
import { endsStreams, keepConnected } from '../shared/tunnel/reconnect.ts'

/** How many sessions an agent may keep: the second is for the moment in which the first is lost. */
export type SessionCount = 1 | 2

/**
 * Bounds of the random pause between the first session and the second, in ms: after the start of the process, and after all
 * were lost, which may have happened to every agent of the relay at once. First sessions come before second ones then.
 */
const SECOND_AFTER_MS = { start: 1_000, loss: 60_000 } as const

/** How soon a session that shares its address looks for one of its own, in ms; half of it at least. */
const MOVE_AFTER_MS = 10_000

/** How long the streams of a session that is replaced as planned may go on, in ms. */
const REPLACED_DRAIN_MS = 24 * 3_600_000

/** How long streams may go on when the agent stops, in ms. */
const STOP_DRAIN_MS = 5_000

/** What it takes to tell the openers of those that did not, in ms. */
const STOP_FLUSH_MS = 500

export interface AgentSessionsOptions {
  readonly effects: Effects
  readonly log: Logger
  readonly count: SessionCount
  readonly addresses: readonly RelayAddress[]
  /**
   * Dials and greets; `others` are tried in this order where `address` fails or stays silent. `held` is asked when the
   * connection stands, and gives the names for HELLO.
   */
  readonly open: (
    address: RelayAddress,
    held: () => Promise<readonly string[]>,
    signal: AbortSignal,
    others: readonly RelayAddress[],
  ) => Promise<ClientTunnel>
  /** True while streams wait for a path. */
  readonly isUrgent: () => boolean
  /** No session stands, and the relay will give none. */
  readonly onRefused: (error: TunnelError) => void
}

/** A session that stands, for the status. */
export interface StandingSession {
  readonly tunnel: ClientTunnel
  /** Milliseconds since 1970. */
  readonly since: number
  /** True where another is to take its place. */
  readonly isLeaving: boolean
}

type Standing = { -readonly [Key in keyof StandingSession]: StandingSession[Key] }

/** What keeps one session up. */
interface Lane {
  readonly index: number
  /** How many sessions it has had. */
  sessions: number
  /** Attempts since the last of them stood. */
  attempts: number
  /** True where it leaves it to the first lane to find a relay: none stood when it last had to look. */
  isSecond: boolean
  /** Its newest session. */
  current: Standing | undefined
}

/**
 * The agent's sessions with its relay (docs/protocol.md section 8.7): up to two, at two addresses where the relay has them,
 * so that losing one leaves no moment without a path. No I/O: `open` does that.
 */
export class AgentSessions {
  readonly #options: AgentSessionsOptions
  readonly #standing = new Set<Standing>()
  readonly #lanes: readonly Lane[]
  #lastError: TunnelError | undefined
  #dialled = 0
  #downSince: number
  /** The last greeting in line; each says what stands when the one before it is done. */
  #greeting: Promise<void> = Promise.resolve()
  #stands = Promise.withResolvers<void>()
  #isStopping = false

  constructor(options: AgentSessionsOptions) {
    this.#options = options
    this.#downSince = options.effects.date()
    this.#lanes = Array.from({ length: options.count }, (_, index) => ({
      index,
      sessions: 0,
      attempts: 0,
      isSecond: index > 0,
      current: undefined,
    }))
  }

  /** Those that stand, the oldest first. */
  get standing(): readonly StandingSession[] {
    return [...this.#standing]
  }

  /** Since when no session stands, or stood before the present ones, in ms since 1970. */
  get downSince(): number {
    return this.#downSince
  }

  /** How often a relay was dialled. */
  get dialled(): number {
    return this.#dialled
  }

  /** Why the last attempt failed, or the last session ended; undefined where nothing has since the newest stood. */
  get lastError(): TunnelError | undefined {
    return this.#lastError
  }

  /** Keeps the sessions up until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { effects, isUrgent } = this.#options
    await Promise.all(
      this.#lanes.map((lane) =>
        keepConnected({
          effects,
          signal,
          isUrgent,
          connect: (attemptSignal) => this.#connect(lane, attemptSignal),
          onUp: (tunnel) => this.#onUp(lane, tunnel),
          onDown: (error, retryMs) => this.#onDown(error, retryMs),
        }),
      ),
    )
  }

  /** Has every session replaced by one with the identity of now; their streams go on. */
  replaceAll(): void {
    for (const standing of this.#standing) this.#leave(standing)
  }

  /**
   * Takes no more streams, lets those that run end for 5 s, and resolves when every session is over. Streams that are left
   * have nowhere to go: their openers are told, and do not look for another path.
   */
  async drain(): Promise<void> {
    this.#isStopping = true
    const tunnels = [...this.#standing].map(({ tunnel }) => tunnel)
    const cancel = this.#options.effects.after(STOP_DRAIN_MS, () => {
      for (const { session } of tunnels) session.resetAll('SESSION_LOST', 'the agent was stopped')
    })
    for (const tunnel of tunnels) tunnel.drain(STOP_DRAIN_MS + STOP_FLUSH_MS)
    await Promise.all(tunnels.map((tunnel) => tunnel.closed))
    cancel()
  }

  async #connect(lane: Lane, signal: AbortSignal): Promise<ClientTunnel> {
    if (lane.isSecond) await this.#followFirst(lane, signal)
    await this.#unlessStopping(signal)
    const [address, ...others] = this.#addressesFor(lane)
    this.#dialled++
    const greeted = Promise.withResolvers<void>()
    const held = async () => {
      const before = this.#greeting
      this.#greeting = greeted.promise
      await before
      // The relay would open streams on it at once.
      await this.#unlessStopping(signal)
      return [...this.#standing].map(({ tunnel }) => tunnel.relay.session)
    }
    try {
      const tunnel = await this.#options.open(address, held, signal, others)
      // Before the next greeting, which would else not name it, and end it by that.
      this.#add(lane, tunnel)
      return tunnel
    } finally {
      greeted.resolve()
    }
  }

  /** What is lost while the agent stops is not brought back: waits for the end then. */
  async #unlessStopping(signal: AbortSignal): Promise<void> {
    if (this.#isStopping) await unlessAborted(new Promise(() => undefined), signal)
  }

  /** Waits until the first lane has a session, and then for a while by chance. */
  async #followFirst(lane: Lane, signal: AbortSignal): Promise<void> {
    const { effects } = this.#options
    const most = lane.sessions > 0 ? SECOND_AFTER_MS.loss : SECOND_AFTER_MS.start
    do {
      await unlessAborted(this.#stands.promise, signal)
      await effects.sleep(effects.random() * most, signal)
    } while (this.#standing.size === 0)
    lane.isSecond = false
  }

  /**
   * Another address first each time, so that one that answers and then fails is not in the way, and those without a session
   * of ours before the rest. One that has a session does where no other answers, but never in place of a session that stands.
   */
  #addressesFor(lane: Lane): [RelayAddress, ...RelayAddress[]] {
    const { addresses } = this.#options
    const taken = new Set([...this.#standing].map(({ tunnel }) => formatRelayAddress(tunnel.address)))
    const first = (lane.index + lane.sessions) % addresses.length
    const turned = [...addresses.slice(first), ...addresses.slice(0, first)]
    const isFree = (address: RelayAddress) => !taken.has(formatRelayAddress(address))
    const free = turned.filter(isFree)
    const stands = lane.current !== undefined && this.#standing.has(lane.current)
    const order = stands && free.length > 0 ? free : [...free, ...turned.filter((one) => !isFree(one))]
    const next = lane.attempts++ % order.length
    return [...order.slice(next), ...order.slice(0, next)] as [RelayAddress, ...RelayAddress[]]
  }

  #add(lane: Lane, tunnel: ClientTunnel): void {
    const standing = { tunnel, since: this.#options.effects.date(), isLeaving: false }
    lane.current = standing
    lane.sessions++
    lane.attempts = 0
    this.#standing.add(standing)
    this.#stands.resolve()
    void tunnel.closed.then(() => {
      this.#standing.delete(standing)
      if (this.#standing.size === 0) this.#onAllLost()
    })
    void tunnel.goingAway.then(() => {
      standing.isLeaving = true
    })
  }

  #onAllLost(): void {
    this.#downSince = this.#options.effects.date()
    this.#stands = Promise.withResolvers()
    for (const lane of this.#lanes) lane.isSecond = lane.index > 0
  }

  #onUp(lane: Lane, tunnel: ClientTunnel): void {
    this.#lastError = undefined
    const relay = formatRelayAddress(tunnel.address)
    this.#options.log.info({ relay, session: tunnel.relay.session }, 'connected')
    const { current } = lane
    if (current !== undefined && this.#isShared(current)) this.#moveLater(current)
  }

  #onDown(error: TunnelError, retryMs: number): void {
    this.#lastError = error
    const { code, detail } = error
    const line = { code, detail, retryMs: Math.round(retryMs) }
    if (this.#standing.size > 0) {
      this.#options.log.info(line, 'one session less')
      return
    }
    this.#options.log.warn(line, 'not connected')
    if (endsStreams(error)) this.#options.onRefused(error)
  }

  /** True where another session of ours, that stays, goes by the same address although there are others. */
  #isShared(standing: Standing): boolean {
    const address = formatRelayAddress(standing.tunnel.address)
    const others = [...this.#standing].filter((other) => other !== standing && !other.isLeaving)
    return (
      this.#options.addresses.length > 1 &&
      others.some(({ tunnel }) => formatRelayAddress(tunnel.address) === address)
    )
  }

  #moveLater(standing: Standing): void {
    const { effects } = this.#options
    effects.after(MOVE_AFTER_MS * (0.5 + effects.random() / 2), () => {
      const isLeft = !this.#standing.has(standing) || standing.isLeaving || this.#isStopping
      if (!isLeft && this.#isShared(standing)) this.#leave(standing)
    })
  }

  #leave(standing: Standing): void {
    standing.isLeaving = true
    standing.tunnel.retire(REPLACED_DRAIN_MS)
  }
}
