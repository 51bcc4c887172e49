import type { X509Certificate } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import { type ErrorCode, TunnelError } from '../../shared/errors.ts'
import { decodeHealth } from '../../shared/handshake/health.ts'
import type { Logger } from '../../shared/log.ts'
import type { Session } from '../../shared/mux/session.ts'
import type { Copies } from '../authority/copies.ts'
import type { Principal } from '../authority/identify.ts'
import type { AgentRecord, SitePlace } from '../store/store.ts'
import { leastDoubted, type SessionHealth, takeReports } from './health.ts'
import { type Offline, OfflineSites } from './offline.ts'
import { pickSession } from './pick-session.ts'

/** A session that greeted and is registered. */
export interface LiveSession {
  readonly name: string
  readonly principal: Principal
  readonly session: Session
  /** Nonce of the peer's process, in hexadecimal. */
  readonly instance: string
  readonly product: string
  /** The signed release that an agent says it is, as `CHANNEL/VERSION`. */
  readonly release: string | undefined
  readonly sourceAddress: string
  /** What a connector showed to TLS. */
  readonly certificate?: X509Certificate | undefined
  /** Milliseconds since 1970. */
  readonly connectedAt: number
  readonly generation: number
  /** Proves that a further link belongs to the session; undefined where the peer takes none. */
  readonly linkKey: Uint8Array | undefined
  /** What an agent told of its targets. */
  readonly health: SessionHealth
  /** Ends the session at once. */
  close(error: TunnelError): void
}

/** A connection of an identity that is no session. */
export type OwnedConnection = Pick<LiveSession, 'principal' | 'close'>

/** How long the streams of a session whose ids run out may stay on it, in ms. */
const ROLL_DRAIN_MS = 24 * 3_600_000

/** Sessions of one agent that take streams, at a time: two that serve, and two that take their places. */
const MAX_OPEN_OF_AGENT = 4

/** How often certificates of live sessions are held against the clock, in ms. */
const EXPIRY_CHECK_MS = 1_000

export interface SessionsOptions {
  readonly effects: Effects
  readonly log: Logger
  /** The record of an agent now, to see whether it was renewed since its session began. */
  readonly findAgent: (tenantId: string, id: string) => Promise<AgentRecord | undefined>
  /** Hears of each process that makes room for another. */
  readonly copies: Pick<Copies, 'replaced'>
  /** An agent of a site has come: streams that wait for it may go on. */
  readonly onAgent: (place: SitePlace) => void
}

/**
 * Every living session of the relay. TLS looks at a certificate once; this closes what was revoked or has expired since
 * (docs/protocol.md section 8.5).
 */
export class Sessions {
  /** 16 random bytes that name this run of the relay. */
  readonly instance: Uint8Array
  readonly #options: SessionsOptions
  /** By the place of their site. */
  readonly #agents = new Map<string, Set<LiveSession>>()
  readonly #all = new Set<LiveSession>()
  readonly #expiries = new Map<LiveSession, number>()
  readonly #others = new Set<OwnedConnection>()
  readonly #offline = new OfflineSites()
  #generation = 0
  #cancel: () => void

  constructor(options: SessionsOptions) {
    this.#options = options
    this.instance = options.effects.randomBytes(16)
    this.#cancel = options.effects.after(EXPIRY_CHECK_MS, () => this.#watchExpiry())
  }

  /** A number higher than that of any session before. */
  nextGeneration(): number {
    return ++this.#generation
  }

  /**
   * Registers a session, before its HELLO_OK goes out; what the same agent holds no longer makes room, and so does
   * whatever another process holds under its identity: the newest wins (docs/protocol.md section 2).
   */
  add(live: LiveSession, held: readonly string[]): void {
    const { principal } = live
    if (principal.kind === 'agent') {
      const key = siteKey(principal)
      const peers = this.#agents.get(key) ?? new Set()
      const own = [...peers].filter((old) => old.principal.id === principal.id)
      const staying = own.filter((old) => old.instance === live.instance && held.includes(old.name))
      const open = staying.filter(({ session }) => session.isOpen)
      const tooMany = new Set(open.slice(0, Math.max(0, open.length + 1 - MAX_OPEN_OF_AGENT)))
      for (const old of own) {
        if (!staying.includes(old) || tooMany.has(old)) this.#replace(old, live)
      }
      live.session.attention = (own[0] ?? live).session.attention
      peers.add(live)
      this.#agents.set(key, peers)
    }
    if (principal.kind === 'connector') this.#endOutdated(principal)
    this.#all.add(live)
    this.#expiries.set(live, principal.notAfter)
  }

  /** A connector shows its next certificate: what came in by the one before is over, or a copy would live on by it. */
  #endOutdated({ tenantId, id, generation }: Principal): void {
    for (const old of this.#all) {
      const { principal } = old
      const isSame = principal.kind === 'connector' && principal.tenantId === tenantId && principal.id === id
      if (isSame && principal.generation < generation) {
        // Its streams look for another path: the connector's own find its next session, a copy's find none.
        old.close(new TunnelError('SESSION_LOST', 'a newer certificate took its place'))
      }
    }
  }

  /** What proves whose a session is now ends at `notAfter`, in ms since 1970. */
  prolong(live: LiveSession, notAfter: number): void {
    if (this.#all.has(live)) this.#expiries.set(live, notAfter)
  }

  /** The session has greeted and may be used. */
  opened(live: LiveSession): void {
    const { principal } = live
    if (principal.kind !== 'agent') return
    this.#offline.came(siteKey(principal))
    // The round trip is known before the first stream asks which session is the better one.
    live.session.link.measure(this.#options.effects.now())
    this.#options.onAgent(principal)
  }

  /** A session is over; `code` says why. */
  remove(live: LiveSession, code: ErrorCode): void {
    this.#all.delete(live)
    this.#expiries.delete(live)
    const { principal } = live
    if (principal.kind !== 'agent') return
    const key = siteKey(principal)
    const peers = this.#agents.get(key)
    peers?.delete(live)
    if (peers?.size !== 0) return
    this.#agents.delete(key)
    this.#offline.went(key, { since: this.#options.effects.date(), code })
  }

  /** Since when a site is without an agent; undefined where it has one, or had none since the relay began. */
  offline(place: SitePlace): Offline | undefined {
    return this.#offline.get(siteKey(place))
  }

  /** A NOTICE of an agent. @throws {TunnelError} PROTOCOL */
  hear(live: LiveSession, notice: Uint8Array): void {
    const { effects, log } = this.#options
    const turned = takeReports(live.health, decodeHealth(notice), effects.date())
    const resources = turned.slice(0, 20)
    if (turned.length > 0)
      log.info({ agentId: live.principal.id, count: turned.length, resources }, 'targets turned')
  }

  /**
   * The session of a site's agents that a new stream to a resource does best on; only those of one agent where `agent`
   * names it, by its id or as `agentName` does. Agents whose target is well come first; where all fail, one of them is tried
   * all the same.
   * @throws {TunnelError} AGENT_OFFLINE; UNANSWERED where the process that is named is gone and another has its identity
   */
  pickAgent(place: SitePlace, resource: string, agent?: string): LiveSession {
    const peers = this.#agents.get(siteKey(place)) ?? NOBODY
    const open: LiveSession[] = []
    for (const live of agent === undefined ? peers : named(peers, agent)) {
      if (live.session.isOpen) open.push(live)
    }
    const { effects } = this.#options
    const trusted = leastDoubted(open, resource, () => effects.random())
    const best = pickSession(trusted, effects.now())
    if (best === undefined) throw this.#agentOffline(place)
    // Long before its ids run out the agent is asked for the next session.
    if (best.session.wantsRoll) best.session.goAway('DRAINING', ROLL_DRAIN_MS)
    return best
  }

  /** Has a connection closed when its identity is revoked. @returns how many such the identity has now */
  track(connection: OwnedConnection): number {
    this.#others.add(connection)
    return [...this.#others].filter(({ principal }) => principal.id === connection.principal.id).length
  }

  untrack(connection: OwnedConnection): void {
    this.#others.delete(connection)
  }

  /** Closes every session and every other connection of an identity. @returns how many there were */
  revoke(kind: Principal['kind'], tenantId: string, id: string): number {
    let count = 0
    for (const live of [...this.#all, ...this.#others]) {
      const { principal } = live
      if (principal.kind !== kind || principal.tenantId !== tenantId || principal.id !== id) continue
      live.close(new TunnelError('REVOKED'))
      count++
    }
    return count
  }

  /** The session of that name; a handful of them is wanted in an hour, so they are not indexed. */
  find(name: string): LiveSession | undefined {
    for (const live of this.#all) if (live.name === name) return live
    return undefined
  }

  /** Closes every session of a tenant. @returns how many there were */
  revokeTenant(tenantId: string): number {
    const own = [...this.#all].filter(({ principal }) => principal.tenantId === tenantId)
    for (const live of own) live.close(new TunnelError('REVOKED'))
    return own.length
  }

  list(): readonly LiveSession[] {
    return [...this.#all]
  }

  /** Stops watching the clock and closes what is no session. The sessions are their owner's to close. */
  stop(): void {
    this.#cancel()
    for (const other of [...this.#others]) other.close(new TunnelError('DRAINING'))
  }

  #agentOffline(place: SitePlace): TunnelError {
    const known = this.offline(place)
    const history =
      known === undefined ? '' : `, since ${new Date(known.since).toISOString()} (${known.code})`
    return new TunnelError('AGENT_OFFLINE', `${place.site}${history}`)
  }

  #replace(old: LiveSession, live: LiveSession): void {
    const { principal } = live
    const isSameProcess = old.instance === live.instance
    if (!isSameProcess && principal.kind === 'agent') this.#options.copies.replaced(principal, old, live)
    this.#options.log.info({ agentId: principal.id, isSameProcess }, 'session replaced')
    old.session.goAway('REPLACED', 0)
    old.close(new TunnelError('REPLACED'))
  }

  #watchExpiry(): void {
    const now = this.#options.effects.date()
    for (const [live, notAfter] of this.#expiries) {
      if (now < notAfter) continue
      // Looked up once: what comes back is a later date, or the end.
      this.#expiries.set(live, Number.POSITIVE_INFINITY)
      this.#expire(live, now).catch((err: unknown) => {
        this.#options.log.error({ err, session: live.name }, 'expiry check failed')
        live.close(new TunnelError('EXPIRED'))
      })
    }
    this.#cancel = this.#options.effects.after(EXPIRY_CHECK_MS, () => this.#watchExpiry())
  }

  async #expire(live: LiveSession, now: number): Promise<void> {
    const { principal } = live
    // An agent renews over a connection of its own while its session lives: the session lives on with the agent.
    const agent =
      principal.kind === 'agent' ? await this.#options.findAgent(principal.tenantId, principal.id) : undefined
    if (agent !== undefined && agent.revokedAt === undefined && agent.notAfter > now) {
      this.prolong(live, agent.notAfter)
      return
    }
    live.close(new TunnelError('EXPIRED'))
  }
}

/** The process at the end of an agent's session, as ROUTED names it: another run of the same agent has another name. */
export function agentName({ principal, instance }: Pick<LiveSession, 'principal' | 'instance'>): string {
  return `${principal.id}/${instance}`
}

const NOBODY: ReadonlySet<LiveSession> = new Set()

/** Those of an agent, named by its id or as `agentName` does. @throws {TunnelError} UNANSWERED where it is another process now */
function named(peers: ReadonlySet<LiveSession>, agent: string): readonly LiveSession[] {
  const [id, instance] = agent.split('/')
  const own = [...peers].filter(({ principal }) => principal.id === id)
  const mine = own.filter((live) => instance === undefined || live.instance === instance)
  if (own.length > 0 && mine.length === 0) throw new TunnelError('UNANSWERED', 'the agent was started anew')
  return mine
}

function siteKey({ tenantId, environment, site }: SitePlace): string {
  return `${tenantId}/${environment}/${site}`
}
