import { setImmediate } from 'node:timers/promises'
import type { Effects } from '../../shared/effects.ts'
import type { Logger } from '../../shared/log.ts'
import { TokenBucket } from '../../shared/mux/token-bucket.ts'
import type { CertificateAuthority } from '../authority/certificate-authority.ts'
import type { Store } from '../store/store.ts'
import type { TimedEvent } from '../store/tenants.ts'
import { makeCheckpoint } from './checkpoint.ts'
import { RecentEvents } from './recent-events.ts'
import { type Audit, type AuditEvent, type Deed, RELAY_CHAIN } from './record.ts'

/** Limits of what is written behind. */
export const TRAIL_LIMITS = {
  /** Longest that an event waits, in ms: the most that a crash can take with it. */
  waitMs: 1_000,
  /** Events in one transaction; as soon as there are so many, they are written. */
  batch: 256,
  /** Events that wait where the store fails; beyond, the oldest are dropped and counted. */
  queue: 16_384,
  /** Refusals that are written one by one into each chain: in a second on average, and at once. */
  refusalsPerSecond: 20,
  refusalBurst: 200,
  /** Records from one signed checkpoint to the next, where they come fast. */
  checkpointRecords: 1_000,
  /** Time from one signed checkpoint to the next, in ms. */
  checkpointMs: 3_600_000,
} as const

export interface TrailOptions {
  readonly store: Pick<Store, 'relay' | 'readAudit' | 'auditHead' | 'addAuditCheckpoint'>
  readonly authority: CertificateAuthority
  readonly effects: Effects
  readonly log: Logger
}

/**
 * Writes what happens on the way of sessions and streams into the audit chains, a little later and many at once, because
 * a commit waits for the disk. What a crash takes with it is a second's worth at most, and the chain shows that: its next
 * record says that the relay had not been stopped.
 */
export class AuditTrail {
  readonly #options: TrailOptions
  /** By chain. A flood of what is refused must not become a flood of records. */
  readonly #refusals = new Map<string, { readonly bucket: TokenBucket; held: number }>()
  /** Records of each chain since its last checkpoint, as far as they went through here. */
  readonly #unsigned = new Map<string, number>()
  readonly #repeated = new RecentEvents()
  #queue: TimedEvent[] = []
  /** What is being written. */
  #underWay: TimedEvent[] = []
  #lost = 0
  #cancelFlush: (() => void) | undefined
  #cancelCheckpoints: () => void = () => undefined
  #writing: Promise<void> = Promise.resolve()
  #isFailing = false

  constructor(options: TrailOptions) {
    this.#options = options
  }

  /** Takes an event; see {@link Audit}. Bound, to be handed on. */
  readonly audit: Audit = (event) => {
    if (event.mayRepeat === true && !this.#repeated.add(event)) return
    const isRefusal = event.actor.kind === 'nobody' || event.action.endsWith('.refuse')
    if (isRefusal && this.#isHeld(event.tenantId)) this.#schedule()
    else this.#push(event)
  }

  /** Events that wait. */
  get waiting(): number {
    return this.#queue.length + this.#underWay.length
  }

  /**
   * Writes into each chain that the relay begins, and whether it had been stopped before.
   * @throws {TunnelError} STORE
   */
  async start(): Promise<void> {
    const { store, effects } = this.#options
    const events: TimedEvent[] = []
    for (const chain of await this.#chains()) {
      const { records } = await store.readAudit(chain, { order: 'newest', limit: 1 })
      const isClean = records[0] === undefined || records[0].action === 'relay.stop'
      const deed: Deed = isClean
        ? { action: 'relay.start', object: '', outcome: 'OK' }
        : { action: 'relay.start', object: '', outcome: 'SESSION_LOST', detail: UNCLEAN }
      events.push({ event: this.#own(chain, deed), time: effects.date() })
    }
    await store.relay.appendAudit(events)
    this.#scheduleCheckpoints()
  }

  /** Resolves when everything taken so far is written, or could not be. Never rejects. */
  flush(): Promise<void> {
    this.#cancelFlush?.()
    this.#cancelFlush = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /** Writes what waits and that the relay ends, and signs the ends of the chains. Take no more events then. */
  async stop(): Promise<void> {
    this.#cancelCheckpoints()
    const chains = await this.#chains()
    for (const chain of chains)
      this.#push(this.#own(chain, { action: 'relay.stop', object: '', outcome: 'OK' }))
    await this.flush()
    this.#cancelFlush?.()
    for (const chain of chains) await this.#sign(chain)
  }

  #isHeld(chain: string): boolean {
    const { refusalsPerSecond, refusalBurst } = TRAIL_LIMITS
    const known = this.#refusals.get(chain)
    const refusals = known ?? { bucket: new TokenBucket(refusalsPerSecond, refusalBurst), held: 0 }
    if (known === undefined) this.#refusals.set(chain, refusals)
    if (refusals.bucket.take(this.#options.effects.now())) return false
    refusals.held++
    return true
  }

  #push(event: AuditEvent): void {
    this.#queue.push({ event, time: this.#options.effects.date() })
    if (this.#queue.length > TRAIL_LIMITS.queue) this.#dropOldest()
    if (this.#queue.length === TRAIL_LIMITS.batch && !this.#isFailing) void this.flush()
    else this.#schedule()
  }

  #schedule(): void {
    this.#cancelFlush ??= this.#options.effects.after(TRAIL_LIMITS.waitMs, () => void this.flush())
  }

  async #write(): Promise<void> {
    this.#tellCounts()
    // What comes meanwhile is not written behind it in twos and threes: it waits for its time, or for more.
    for (let due = this.#queue.length; due > 0; due -= this.#underWay.length) {
      this.#underWay = this.#queue.splice(0, Math.min(due, TRAIL_LIMITS.batch))
      try {
        await this.#options.store.relay.appendAudit(this.#underWay)
      } catch (err) {
        // Nothing of the batch was written; it goes back in front, and is tried again.
        this.#queue.unshift(...this.#underWay)
        this.#underWay = []
        this.#dropOldest()
        this.#isFailing = true
        this.#options.log.error({ err, waiting: this.#queue.length }, 'audit records wait for the store')
        this.#schedule()
        return
      }
      this.#isFailing = false
      await this.#count(this.#underWay)
      // Streams get their turn between two batches.
      await setImmediate()
    }
    this.#underWay = []
  }

  #dropOldest(): void {
    this.#lost += this.#queue.splice(0, this.#queue.length - TRAIL_LIMITS.queue).length
  }

  /** What was dropped or held back leaves its number at least. */
  #tellCounts(): void {
    const lost = this.#lost
    this.#lost = 0
    if (lost > 0)
      this.#push(this.#own(RELAY_CHAIN, { action: 'audit.lost', object: `${lost}`, outcome: 'STORE' }))
    for (const [chain, refusals] of this.#refusals) {
      const { held } = refusals
      if (held === 0) continue
      refusals.held = 0
      this.#push(this.#own(chain, { action: 'audit.held', object: `${held}`, outcome: 'ENHANCE_CALM' }))
    }
  }

  async #count(batch: readonly TimedEvent[]): Promise<void> {
    for (const { event } of batch) {
      const count = (this.#unsigned.get(event.tenantId) ?? 0) + 1
      this.#unsigned.set(event.tenantId, count)
    }
    for (const [chain, count] of [...this.#unsigned]) {
      if (count >= TRAIL_LIMITS.checkpointRecords) await this.#sign(chain)
    }
  }

  #scheduleCheckpoints(): void {
    this.#cancelCheckpoints = this.#options.effects.after(TRAIL_LIMITS.checkpointMs, () => {
      this.#scheduleCheckpoints()
      this.#signAll().catch((err: unknown) =>
        this.#options.log.error({ err }, 'audit checkpoints not signed'),
      )
    })
  }

  async #signAll(): Promise<void> {
    for (const chain of await this.#chains()) {
      await this.#sign(chain)
      await setImmediate()
    }
  }

  /** A failure is told and not thrown: the next one vouches for the same records. */
  async #sign(chain: string): Promise<void> {
    const { store, authority, effects, log } = this.#options
    this.#unsigned.delete(chain)
    try {
      const head = await store.auditHead(chain)
      if (head.seq === 0) return
      await store.addAuditCheckpoint(chain, makeCheckpoint(authority, chain, head, effects.date()))
    } catch (err) {
      log.error({ err, chain }, 'audit checkpoint not signed')
    }
  }

  async #chains(): Promise<readonly string[]> {
    const tenants = await this.#options.store.relay.listTenants()
    return [RELAY_CHAIN, ...tenants.map(({ id }) => id)]
  }

  #own(chain: string, deed: Deed): AuditEvent {
    const traceId = this.#options.effects.randomBytes(16).toString('hex')
    return { ...deed, tenantId: chain, actor: { kind: 'relay', id: '' }, source: 'local', traceId }
  }
}

const UNCLEAN =
  'it had not been stopped: records of sessions and streams of the last second before may be missing'
