import type { Effects } from '../../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../../shared/errors.ts'
import type { Logger } from '../../../shared/log.ts'
import type { Cidr } from '../../../shared/policy/cidr.ts'
import type { Store } from '../../store/store.ts'
import { followChain } from '../follow.ts'
import { type AuditRecord, RELAY_CHAIN } from '../record.ts'
import { type Delivery, signingKeyName } from './delivery.ts'
import { sendSyslog } from './syslog.ts'
import { guardedAddress, guardedAddresses, parseTarget } from './target.ts'
import { postRecords } from './webhook.ts'

/** Limits of deliveries. */
export const DELIVERY_LIMITS = {
  /** Records that are sent at once. */
  batch: 200,
  /** How long a receiver may take for them, in ms. */
  sendMs: 15_000,
  /** The wait after a first failure, in ms; it doubles with each one up to the longest. */
  retryMs: 1_000,
  longestRetryMs: 60_000,
  /** Of one tenant. */
  perTenant: 20,
} as const

export interface DeliveriesOptions {
  readonly store: Store
  readonly effects: Effects
  readonly log: Logger
  /** Name of the relay, for messages of syslog. */
  readonly host: string
  /** Ranges beside the public internet that deliveries may reach. */
  readonly inside: readonly Cidr[]
}

/** How a delivery has gone since the relay began. */
export interface DeliveryHealth {
  /** When records were taken last, in ms since 1970. */
  readonly deliveredAt?: number
  readonly failingSince?: number
  /** What the last failure was, while it lasts. */
  readonly error?: string
}

interface Running {
  readonly stop: AbortController
  readonly done: Promise<void>
  health: DeliveryHealth
}

/**
 * Sends what stands in the chains to where tenants want it: in order, and again until it was taken. How far it has come stands in
 * the store after each success, so a crash sends some records twice and loses none.
 */
export class Deliveries {
  readonly #options: DeliveriesOptions
  readonly #running = new Map<string, Running>()

  constructor(options: DeliveriesOptions) {
    this.#options = options
  }

  /** Begins all that the store knows. @throws {TunnelError} STORE */
  async start(): Promise<void> {
    const { store } = this.#options
    const tenants = (await store.relay.listTenants()).map(({ id }) => id)
    for (const id of [RELAY_CHAIN, ...tenants]) {
      for (const { name } of await store.listDeliveries(id)) this.begin(id, name)
    }
  }

  /** Begins one that has been added. */
  begin(tenantId: string, name: string): void {
    const stop = new AbortController()
    const running: Running = {
      stop,
      health: {},
      done: Promise.resolve().then(() => this.#run(tenantId, name, running)),
    }
    this.#running.set(keyOf(tenantId, name), running)
  }

  /** Ends one that has been removed. */
  async end(tenantId: string, name: string): Promise<void> {
    const running = this.#running.get(keyOf(tenantId, name))
    this.#running.delete(keyOf(tenantId, name))
    running?.stop.abort(new TunnelError('CANCELLED'))
    await running?.done
  }

  health(tenantId: string, name: string): DeliveryHealth {
    return this.#running.get(keyOf(tenantId, name))?.health ?? {}
  }

  /** Ends all. What was not taken yet is sent after the next start. */
  async stop(): Promise<void> {
    const all = [...this.#running.values()]
    this.#running.clear()
    for (const { stop } of all) stop.abort(new TunnelError('DRAINING'))
    await Promise.all(all.map(({ done }) => done))
  }

  /**
   * Sends records once.
   * @throws {TunnelError} DELIVERY
   */
  async send(
    tenantId: string,
    delivery: Pick<Delivery, 'name' | 'kind' | 'target' | 'ca'>,
    records: readonly AuditRecord[],
    outer: AbortSignal,
  ): Promise<void> {
    const { store, effects, host, inside } = this.#options
    const deadline = new AbortController()
    const cancel = effects.after(DELIVERY_LIMITS.sendMs, () =>
      deadline.abort(new TunnelError('DELIVERY', 'Time is up.')),
    )
    const signal = AbortSignal.any([outer, deadline.signal])
    try {
      const target = parseTarget(delivery)
      const addresses = target.host.includes(':')
        ? [guardedAddress(target.host, inside)]
        : await guardedAddresses(target.host, inside)
      const call = { target, addresses, ca: delivery.ca, records, signal }
      if (delivery.kind === 'syslog') return await sendSyslog({ ...call, host, effects })
      const key = await store.getSecret(tenantId, signingKeyName(delivery.name))
      if (key === undefined) throw new TunnelError('DELIVERY', 'Its signing key is gone: add it anew.')
      await postRecords({ ...call, key, tenantId, at: effects.date() })
    } finally {
      cancel()
    }
  }

  async #run(tenantId: string, name: string, running: Running): Promise<void> {
    const { effects, log } = this.#options
    const { signal } = running.stop
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        // Ends normally only where the delivery is gone.
        await this.#follow(tenantId, name, running, () => {
          failures = 0
        })
        return
      } catch (err) {
        if (signal.aborted) return
        const error = isTunnelError(err) ? err.message : 'A fault inside Sallyport.'
        running.health = {
          ...running.health,
          failingSince: running.health.failingSince ?? effects.date(),
          error,
        }
        log.warn({ err, tenant: tenantId, delivery: name, failures }, 'audit records not delivered')
        await effects.sleep(waitMs(failures, effects.random()), signal).catch(() => undefined)
      }
    }
  }

  async #follow(tenantId: string, name: string, running: Running, onTaken: () => void): Promise<void> {
    const { store, effects } = this.#options
    const { signal } = running.stop
    const begin = await store.findDelivery(tenantId, name)
    if (begin === undefined) return
    const steps = followChain({
      ...{ store, effects, tenantId, signal },
      after: begin.position,
      limit: DELIVERY_LIMITS.batch,
    })
    for await (const { records, position } of steps) {
      const delivery = await store.findDelivery(tenantId, name)
      if (delivery === undefined) return
      if (position === delivery.position) continue
      if (records.length > 0) await this.send(tenantId, delivery, records, signal)
      await store.moveDelivery(tenantId, name, position)
      running.health = { deliveredAt: effects.date() }
      onTaken()
    }
  }
}

function keyOf(tenantId: string, name: string): string {
  return `${tenantId}/${name}`
}

/** Half of it at least, so that many that fail together do not come back together. */
function waitMs(failures: number, random: number): number {
  const { retryMs, longestRetryMs } = DELIVERY_LIMITS
  return Math.min(retryMs * 2 ** Math.min(failures, 16), longestRetryMs) * (0.5 + random / 2)
}
