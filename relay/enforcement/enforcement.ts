import { setImmediate } from 'node:timers/promises'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { AuthorityContext } from '../authority/context.ts'
import type { Principal } from '../authority/identify.ts'
import type { LiveSession, Sessions } from '../gateway/sessions.ts'
import { type GrantFault, grantVerdict } from '../grants/terms.ts'
import type { Peer } from '../restrictions/restriction.ts'
import { checkRestrictions, type Restrictions, restrictionsOf } from '../restrictions/restrictions.ts'
import type { RestrictionTarget } from '../store/restriction-store.ts'
import type { Store } from '../store/store.ts'
import { Deadlines } from './deadlines.ts'
import { checkFrozen, type Frozen, frozenOf } from './frozen.ts'
import { Listeners } from './listeners.ts'
import type { Living, Opening } from './opening.ts'

/** How often what ends by itself is looked for, in ms. */
const TICK_MS = 1_000

/** Look-ups in the store between two turns of everything else: half a millisecond. */
const PER_TURN = 8

export interface EnforcementOptions {
  readonly store: Store
  /** Tenants that are being removed. */
  readonly closed: AuthorityContext['closed']
  readonly sessions: Pick<Sessions, 'list'>
  readonly effects: Pick<Effects, 'date' | 'after'>
  readonly log: Logger
}

/** How many the enforcement has ended. */
export interface Enforced {
  readonly streams: number
  readonly sessions: number
}

/**
 * Says what may be opened, and ends what may be no more. What an administrator stops is kept in memory for each tenant and
 * read anew after each change; grants are looked up for each stream.
 */
export class Enforcement {
  /** What people listen to over the API. */
  readonly listeners = new Listeners()
  readonly #options: EnforcementOptions
  readonly #living = new Map<string, Set<Living>>()
  readonly #deadlines = new Deadlines<Living>()
  readonly #frozen = new Map<string, Frozen>()
  readonly #restrictions = new Map<string, Restrictions>()
  /** Tenants whose last enforcement failed: what is in memory may be old. */
  readonly #overdue = new Set<string>()
  #last: Promise<unknown> = Promise.resolve()
  #isStopped = false
  #cancel: () => void = () => undefined

  constructor(options: EnforcementOptions) {
    this.#options = options
  }

  /** Reads what the store holds, before anything may be opened. @throws {TunnelError} STORE */
  async start(): Promise<void> {
    for (const { id } of await this.#options.store.relay.listTenants()) await this.#read(id)
    this.#tickLater()
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  /** A stream that is to end when it is no longer allowed. Before it was authorised, so that no change is missed between. */
  add(living: Living): void {
    const { tenantId } = living.opening
    const peers = this.#living.get(tenantId)
    if (peers === undefined) this.#living.set(tenantId, new Set([living]))
    else peers.add(living)
  }

  /** The stream is over. */
  remove(living: Living): void {
    const { tenantId } = living.opening
    const peers = this.#living.get(tenantId)
    peers?.delete(living)
    if (peers?.size === 0) this.#living.delete(tenantId)
    this.#deadlines.delete(living)
  }

  /** All but the grant, without a look at the store. @throws {TunnelError} FROZEN, RESTRICTED */
  check(opening: Opening): void {
    const { tenantId, environment, site, resource, connector, publication, source, certificate } = opening
    checkFrozen(this.#frozen.get(tenantId) ?? NOTHING, opening)
    if (!this.#restrictions.has(tenantId)) return
    const targets: RestrictionTarget[] = [{ kind: 'resource', environment, target: `${site}/${resource}` }]
    if (connector !== undefined) targets.push({ kind: 'connector', environment, target: connector.name })
    if (publication !== undefined) targets.push({ kind: 'publication', environment, target: publication })
    this.#checkPeer(tenantId, targets, { address: source, certificate })
  }

  /** A connector that comes in, or is there. Agents are not restricted. @throws {TunnelError} RESTRICTED */
  checkSession(principal: Principal, peer: Peer): void {
    if (principal.kind !== 'connector') return
    const { tenantId, environment, name } = principal
    this.#checkPeer(tenantId, [{ kind: 'connector', environment, target: name }], peer)
  }

  /**
   * Somebody who logs in, or uses a session. @param person an id; undefined where it is not known yet
   * @throws {TunnelError} RESTRICTED
   */
  checkLogin(tenantId: string, person: string | undefined, peer: Peer): void {
    const targets: RestrictionTarget[] = [{ kind: 'logins', environment: '', target: '' }]
    if (person !== undefined) targets.push({ kind: 'person', environment: '', target: person })
    this.#checkPeer(tenantId, targets, peer)
  }

  #checkPeer(tenantId: string, targets: readonly RestrictionTarget[], peer: Peer): void {
    const restrictions = this.#restrictions.get(tenantId)
    if (restrictions !== undefined) {
      checkRestrictions(restrictions, targets, peer, this.#options.effects.date())
    }
  }

  /**
   * Whether a connector may have this stream; it is looked at again when that ends by itself.
   * @throws {TunnelError} DENIED_BY_RELAY, EXPIRED, FROZEN, RESTRICTED, STORE
   */
  async authorize(living: Living): Promise<void> {
    const { tenantId, connector, site, resource } = living.opening
    if (connector !== undefined) {
      const terms = await this.#options.store.grantTerms(tenantId, connector.id, site, resource)
      const verdict = grantVerdict(terms, this.#options.effects.date())
      // First of all, so that nobody learns of names that were not granted.
      if (!verdict.holds) throw GRANT_FAULTS[verdict.fault]()
      if (this.#living.get(tenantId)?.has(living) === true) this.#deadlines.set(living, verdict.until)
    }
    this.check(living.opening)
  }

  /**
   * Looks at every session and stream of a tenant and ends what is no longer allowed. To be called after each change that
   * takes a right away; once at a time, since what is read last must be what is kept.
   * @throws {TunnelError} STORE; it is tried again each second then
   */
  enforce(tenantId: string): Promise<Enforced> {
    const work = this.#last.then(async () => {
      this.#overdue.add(tenantId)
      await this.#read(tenantId)
      const sessions = await this.#endSessions(tenantId)
      const streams = await this.#endStreams(this.#living.get(tenantId) ?? [])
      await this.listeners.check(tenantId)
      this.#overdue.delete(tenantId)
      return { sessions, streams }
    })
    this.#last = work.catch(() => undefined)
    return work
  }

  async #read(tenantId: string): Promise<void> {
    const { store } = this.#options
    keep(this.#frozen, tenantId, frozenOf(await store.listFreezes(tenantId)))
    keep(this.#restrictions, tenantId, restrictionsOf(await store.listRestrictions(tenantId)))
  }

  async #endStreams(some: Iterable<Living>): Promise<number> {
    let [done, ended] = [0, 0]
    for (const living of [...some]) {
      try {
        await this.authorize(living)
      } catch (error) {
        if (!isTunnelError(error) || error.code === 'STORE') throw error
        living.end(error)
        ended++
      }
      if (++done % PER_TURN === 0) await setImmediate()
    }
    return ended
  }

  async #endSessions(tenantId: string): Promise<number> {
    let [done, ended] = [0, 0]
    for (const live of this.#options.sessions.list()) {
      if (live.principal.tenantId !== tenantId) continue
      const error = await this.#sessionFault(live)
      if (error !== undefined) {
        live.close(error)
        ended++
      }
      if (++done % PER_TURN === 0) await setImmediate()
    }
    return ended
  }

  async #sessionFault(live: LiveSession): Promise<TunnelError | undefined> {
    const { principal, sourceAddress, certificate } = live
    const { store, closed } = this.#options
    const { kind, tenantId, id } = principal
    const found =
      kind === 'agent' ? await store.findAgent(tenantId, id) : await store.findConnector(tenantId, id)
    const isKnown = found !== undefined && found.revokedAt === undefined && !closed.has(tenantId)
    if (!isKnown) return new TunnelError('REVOKED')
    try {
      this.checkSession(principal, { address: sourceAddress, certificate })
      return undefined
    } catch (error) {
      if (isTunnelError(error)) return error
      throw error
    }
  }

  async #tick(): Promise<void> {
    for (const tenantId of [...this.#overdue]) await this.enforce(tenantId)
    const due = this.#deadlines.due(this.#options.effects.date())
    try {
      await this.#endStreams(due)
    } catch (error) {
      // Whether they may go on is not known: they are asked again.
      for (const living of due) this.#overdue.add(living.opening.tenantId)
      throw error
    }
  }

  #tickLater(): void {
    const { effects, log } = this.#options
    this.#cancel = effects.after(TICK_MS, () => {
      this.#tick()
        .catch((err: unknown) => log.error({ err }, 'what has ended could not be looked up'))
        .finally(() => {
          if (!this.#isStopped) this.#tickLater()
        })
    })
  }
}

const NOTHING: Frozen = new Map()

/** Tenants without any are not kept. */
function keep<One extends ReadonlyMap<string, unknown>>(
  all: Map<string, One>,
  tenantId: string,
  one: One,
): void {
  if (one.size === 0) all.delete(tenantId)
  else all.set(tenantId, one)
}

const GRANT_NEXT = 'at the relay: sallyport relay grant list CONNECTOR'

/** What was not granted and what does not exist answer alike. */
const GRANT_FAULTS: Readonly<Record<GrantFault, () => TunnelError>> = {
  none: () => new TunnelError('DENIED_BY_RELAY'),
  expired: () => new TunnelError('EXPIRED', 'The grant is over.', { next: GRANT_NEXT }),
  hours: () =>
    new TunnelError('DENIED_BY_RELAY', 'It is outside the hours of the grant.', { next: GRANT_NEXT }),
}
