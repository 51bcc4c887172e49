import type { Effects } from '../../shared/effects.ts'
import type { Logger } from '../../shared/log.ts'
import { TokenBucket } from '../../shared/mux/token-bucket.ts'
import { parseIp } from '../../shared/policy/ip.ts'
import { KeyedBuckets } from './keyed-buckets.ts'
import { occasionally } from './occasionally.ts'

/**
 * What the relay gives to those who have proved nothing yet. Behind a load balancer that does not say whose connections it
 * brings, all come from few addresses.
 */
export interface AdmissionLimits {
  /** Pending connections of one IPv4 address or one IPv6 /64 at a time. */
  readonly pendingPerAddress: number
  /** Pending connections in all. */
  readonly pending: number
  /** Connections to published hosts and passed-through names in all; what is beyond belongs to the tunnels. */
  readonly visitors: number
  /** Tunnels that may be opened in a second on average, and at once. */
  readonly tunnelsPerSecond: number
  readonly tunnelBurst: number
  /** Enrolments that one address may ask for in a minute, and at once. */
  readonly enrollmentsPerMinute: number
  /** From the connection to the end of the TLS handshake, with the header of a proxy before it, in ms. */
  readonly handshakeMs: number
  /** For the head of a request, in ms. */
  readonly headersMs: number
  /** For the body of a request under the relay's own name, in ms. */
  readonly bodyMs: number
  /** Beyond those, for the answer under the relay's own name and the end of the connection, in ms. */
  readonly answerMs: number
}

/** For a relay that is reached directly. */
export const ADMISSION_LIMITS: AdmissionLimits = {
  pendingPerAddress: 64,
  pending: 2_000,
  visitors: 6_000,
  tunnelsPerSecond: 300,
  tunnelBurst: 400,
  enrollmentsPerMinute: 10,
  handshakeMs: 10_000,
  headersMs: 10_000,
  bodyMs: 10_000,
  answerMs: 5_000,
}

/**
 * What a connection counts as. `pending`: from the start until it is one of the others; a request under the relay's own
 * name leaves it pending, and its answer closes it. `visitor`: sent a whole request head for a published host, or asked
 * TLS for a passed-through name. `tunnel`: showed the certificate of an agent or a connector. `gone`: closed.
 */
export type Standing = 'pending' | 'visitor' | 'tunnel' | 'gone'

/** One connection's place in the counts. */
export interface Ticket {
  readonly standing: Standing
  /** Whose connection it is; to be called once. @returns false where that address has too many: it must be closed */
  locate(address: string): boolean
  /** Makes a pending connection a visitor. @returns false where there are too many: it must be closed */
  visit(): boolean
  /** The connection is a tunnel. */
  prove(): void
  /** The connection is closed. */
  leave(): void
}

export interface AdmissionCounts {
  readonly pending: number
  readonly visitors: number
  /** Connections closed at once, since the start. */
  readonly refused: number
}

export interface AdmissionOptions {
  readonly limits: AdmissionLimits
  readonly effects: Pick<Effects, 'now' | 'after'>
  readonly log: Logger
}

/** Addresses whose enrolments are counted at a time. */
const MAX_ENROLLING_ADDRESSES = 10_000

/** Counts who is at the door and says who may come in, by nothing but the address of the connection and the clock. */
export class Admission {
  readonly limits: AdmissionLimits
  readonly #effects: AdmissionOptions['effects']
  readonly #log: (address: string) => void
  readonly #perAddress = new Map<string, number>()
  readonly #enrolling: KeyedBuckets
  readonly #tunnels: TokenBucket
  #pending = 0
  #visitors = 0
  #refused = 0

  constructor({ limits, effects, log }: AdmissionOptions) {
    this.limits = limits
    this.#effects = effects
    this.#log = occasionally(effects, (firstFrom, refused) => {
      const { pending, visitors } = this.counts
      log.warn({ refused, pending, visitors, firstFrom }, 'connections refused')
    })
    this.#tunnels = new TokenBucket(limits.tunnelsPerSecond, limits.tunnelBurst)
    const perMinute = limits.enrollmentsPerMinute
    this.#enrolling = new KeyedBuckets({
      perSecond: perMinute / 60,
      burst: perMinute,
      maxKeys: MAX_ENROLLING_ADDRESSES,
    })
  }

  get counts(): AdmissionCounts {
    return { pending: this.#pending, visitors: this.#visitors, refused: this.#refused }
  }

  /**
   * Counts a new connection whose other end is `peer`, be that a proxy or the client.
   * @returns undefined where there are too many: it must be closed at once
   */
  enter(peer: string): Ticket | undefined {
    if (this.#pending >= this.limits.pending) {
      this.#noteRefusal(peer)
      return undefined
    }
    this.#pending++
    return this.#ticket(peer)
  }

  /** Allows one more tunnel to open now. Asked after its certificate held, so that nobody else can use the budget up. */
  takeTunnel(): boolean {
    return this.#tunnels.take(this.#effects.now())
  }

  /** Allows one more enrolment from `address` now. */
  takeEnrollment(address: string): boolean {
    return this.#enrolling.take(addressKey(address), this.#effects.now())
  }

  #ticket(peer: string): Ticket {
    let standing: Standing = 'pending'
    let address: string | undefined
    let key: string | undefined
    const move = (to: Standing) => {
      if (standing === 'pending') this.#endPending(key)
      if (standing === 'visitor') this.#visitors--
      standing = to
    }
    return {
      get standing() {
        return standing
      },
      locate: (located) => {
        address = located
        if (standing !== 'pending') return standing !== 'gone'
        const ofAddress = addressKey(located)
        const count = this.#perAddress.get(ofAddress) ?? 0
        if (count >= this.limits.pendingPerAddress) {
          this.#noteRefusal(located)
          return false
        }
        key = ofAddress
        this.#perAddress.set(key, count + 1)
        return true
      },
      visit: () => {
        if (standing !== 'pending') return standing === 'visitor'
        if (this.#visitors >= this.limits.visitors) {
          this.#noteRefusal(address ?? peer)
          return false
        }
        move('visitor')
        this.#visitors++
        return true
      },
      prove: () => {
        if (standing !== 'gone') move('tunnel')
      },
      leave: () => move('gone'),
    }
  }

  #endPending(key: string | undefined): void {
    this.#pending--
    if (key === undefined) return
    const left = (this.#perAddress.get(key) ?? 1) - 1
    if (left > 0) this.#perAddress.set(key, left)
    else this.#perAddress.delete(key)
  }

  #noteRefusal(address: string): void {
    this.#refused++
    this.#log(address)
  }
}

/** One subscriber holds a whole IPv6 /64, so that is what counts as one address. */
export function addressKey(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '')
  const ip = parseIp(plain)
  return ip?.family === 6 ? `${(ip.bits >> 64n).toString(16)}/64` : plain
}
