/** Limits of the in-flight cap of a link, in bytes. */
export const CAP = { min: 131_072, start: 524_288, max: 8_388_608 } as const

/** How long a round-trip or rate sample counts at least, in milliseconds; twice that at most. */
const FILTER_MS = 5_000

/** How often a busy link looks for more room and for the bare round trip, in milliseconds. */
const PROBE_MS = 10_000

/**
 * What both ends' event loops add to a round in milliseconds. Matters only where the round trip is shorter than a turn of
 * the loop: at 1 GiB/s it is 1 MiB, on a 50 Mbit/s line 6 KiB.
 */
const TURN_MS = 1

/** A marker is kept for every so many bytes sent. */
const MARKER_BYTES = 8_192

interface Marker {
  /** DATA bytes sent on the link up to and with this frame. */
  readonly sent: number
  readonly at: number
  /** DATA bytes acknowledged when the frame left, and when that was. */
  readonly delivered: number
  readonly deliveredAt: number
}

/** The smallest (or largest) sample of the last 5 to 10 seconds, in two buckets. */
class RecentExtreme {
  readonly #better: (a: number, b: number) => boolean
  readonly #none: number
  #current: number
  #former: number
  #since = 0

  constructor(kind: 'min' | 'max') {
    this.#better = kind === 'min' ? (a, b) => a < b : (a, b) => a > b
    this.#none = kind === 'min' ? Number.POSITIVE_INFINITY : 0
    this.#current = this.#none
    this.#former = this.#none
  }

  get value(): number {
    return this.#better(this.#former, this.#current) ? this.#former : this.#current
  }

  add(sample: number, now: number): void {
    if (now - this.#since > FILTER_MS) {
      // After a pause of two buckets nothing of the former one counts any more.
      this.#former = now - this.#since > 2 * FILTER_MS ? this.#none : this.#current
      this.#current = this.#none
      this.#since = now
    }
    if (this.#better(sample, this.#current)) this.#current = sample
  }

  reset(): void {
    this.#current = this.#none
    this.#former = this.#none
  }
}

/**
 * `grow`: the cap doubles each round while the rate still rises. `steady`: twice the bandwidth-delay product, which lets a
 * path that became faster show it.
 * `drain`: for one round little is sent, so that the bare round trip shows under a standing queue.
 */
export type CapPhase = 'grow' | 'steady' | 'drain'

/**
 * Keeps the queue out of the path (docs/protocol.md section 5.3): DATA stops while more than `cap` bytes are sent and
 * not acknowledged. ACK comes on arrival and depends on no consumer, so the cap cannot deadlock.
 */
export class InFlight {
  #sent = 0
  #acknowledged = 0
  #cap: number = CAP.start
  #phase: CapPhase = 'grow'
  readonly #markers: Marker[] = []
  #lastMarker = 0
  readonly #minRtt = new RecentExtreme('min')
  readonly #maxRate = new RecentExtreme('max')
  #deliveredAt = 0
  /** A round ends when what was sent at its begin is acknowledged. */
  #roundEnd = 0
  #rateBefore = 0
  #rateInRound = 0
  #cappedInRound = false
  #phaseAt = 0
  #capBeforeDrain: number = CAP.start

  get cap(): number {
    return this.#cap
  }

  get phase(): CapPhase {
    return this.#phase
  }

  /** DATA bytes sent and not acknowledged. */
  get bytes(): number {
    return this.#sent - this.#acknowledged
  }

  /** Smallest round trip of the last 5 to 10 seconds in ms; Infinity before the first sample. */
  get minRttMs(): number {
    return this.#minRtt.value
  }

  /** Highest delivery rate of the last 5 to 10 seconds in bytes per ms; 0 before the first sample. */
  get maxRate(): number {
    return this.#maxRate.value
  }

  /** Bytes of DATA frames that may still leave; may be negative. Asking while there is none counts as being held back. */
  get room(): number {
    const room = this.#cap - this.bytes
    if (room <= 0) this.#cappedInRound = true
    return room
  }

  /** A DATA frame of `bytes` (header and all) leaves. */
  sent(bytes: number, now: number): void {
    // After a pause the clock of the delivery rate starts anew, else idle time would count as slowness.
    if (this.bytes === 0) this.#deliveredAt = now
    this.#sent += bytes
    if (this.#sent - this.#lastMarker < MARKER_BYTES && this.#markers.length > 0) return
    this.#lastMarker = this.#sent
    this.#markers.push({
      sent: this.#sent,
      at: now,
      delivered: this.#acknowledged,
      deliveredAt: this.#deliveredAt,
    })
  }

  /**
   * An ACK came: the receiver has `received` DATA bytes and held the answer for `holdMs`.
   * @returns false where it acknowledges what was never sent; nothing changes then
   */
  acknowledged(received: number, holdMs: number, now: number): boolean {
    if (received > this.#sent) return false
    if (received <= this.#acknowledged) return true
    this.#acknowledged = received
    this.#deliveredAt = now
    const marker = this.#newestCovered(received)
    if (marker !== undefined) this.#sample(marker, holdMs, now)
    if (received >= this.#roundEnd) this.#endRound(now)
    return true
  }

  #newestCovered(received: number): Marker | undefined {
    let count = 0
    while (count < this.#markers.length && (this.#markers[count] as Marker).sent <= received) count++
    return count === 0 ? undefined : this.#markers.splice(0, count).at(-1)
  }

  #sample(marker: Marker, holdMs: number, now: number): void {
    const rtt = Math.max(0.01, now - marker.at - holdMs)
    this.#minRtt.add(rtt, now)
    const elapsed = now - marker.deliveredAt
    if (elapsed <= 0) return
    const rate = (this.#acknowledged - marker.delivered) / elapsed
    this.#maxRate.add(rate, now)
    if (rate > this.#rateInRound) this.#rateInRound = rate
  }

  #endRound(now: number): void {
    const wasCapped = this.#cappedInRound
    const rate = this.#rateInRound
    this.#roundEnd = this.#sent
    this.#cappedInRound = false
    this.#rateInRound = 0
    switch (this.#phase) {
      case 'grow':
        if (wasCapped) this.#grow(rate, now)
        return
      case 'steady':
        if (wasCapped) this.#hold(now)
        return
      case 'drain':
        this.#enter('steady', now)
        this.#cap = this.#capBeforeDrain
        return
    }
  }

  #grow(rate: number, now: number): void {
    if (rate >= this.#rateBefore * 1.25) {
      this.#rateBefore = rate
      this.#cap = Math.min(CAP.max, this.#cap * 2)
      return
    }
    this.#rateBefore = 0
    this.#enter('steady', now)
    this.#settle()
  }

  #hold(now: number): void {
    if (now - this.#phaseAt < PROBE_MS) {
      this.#settle()
      return
    }
    this.#capBeforeDrain = this.#cap
    this.#cap = Math.max(CAP.min / 2, this.#cap / 4)
    this.#minRtt.reset()
    this.#enter('drain', now)
  }

  #settle(): void {
    const wanted = this.#maxRate.value * (2 * this.#minRtt.value + TURN_MS)
    if (Number.isFinite(wanted)) this.#cap = Math.max(CAP.min, Math.min(CAP.max, wanted))
  }

  #enter(phase: CapPhase, now: number): void {
    this.#phase = phase
    this.#phaseAt = now
  }
}
