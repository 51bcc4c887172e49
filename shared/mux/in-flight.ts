import { RecentExtreme } from './recent-extreme.ts'

/** Limits of the in-flight cap of a link, in bytes. */
export const CAP = { min: 131_072, start: 524_288, max: 8_388_608 } as const

/** How long a rate sample counts at least, in milliseconds; twice that at most. Short, so that a slower path shows soon. */
const RATE_FILTER_MS = 1_000

/**
 * The same for round trips. Longer than the time between two looks at the bare round trip: in between all samples hold
 * the queue that this cap leaves standing, and a cap made from them would let it grow.
 */
const RTT_FILTER_MS = 15_000

/** How often a busy link looks for more room and for the bare round trip, in milliseconds. */
const PROBE_MS = 10_000

/**
 * What both ends' event loops add to a round in milliseconds. Matters only where the round trip is shorter than a turn of
 * the loop: at 1 GiB/s it is 2 MiB, on a 50 Mbit/s line 12 KiB.
 */
const TURN_MS = 2

/**
 * Round trips' worth of data that a busy link has out. Some more than half a round trip stands as a queue: enough to show that a path
 * became faster, little enough that an echo beside a download on 50 Mbit/s and 40 ms waits 25 ms and not 40.
 */
const STEADY_ROUNDS = 1.6

/**
 * Where small requests and answers go the same way they wait for whatever stands as a queue, so there is little more than one
 * round trip's worth, and what an ACK covers at once, without which the path would run dry between two of them. Twice as much
 * while the rate still rises: less would keep it from rising.
 */
const SHARED_ROUNDS = { grow: 2, steady: 1.1, drain: 1 } as const
const SHARED_SLACK_BYTES = 32_768

/**
 * Acknowledgements that stay away for this part of the bare round trip, and for at least so many ms, while data is out: a
 * packet was lost on the way, for nothing behind it arrives until it was sent again. A path that is merely full acknowledges
 * every 20 ms.
 */
const STALL_ROUNDS = 0.5
const STALL_MS = 40

/** Round trips after a begin that do not count: TCP, which doubles its window in each, pauses as long between them. */
const SLOW_START_ROUNDS = 8

/** Round trips in ms from which a stall is told from a busy event loop. */
const STALL_RTT_MS = 4

/** A marker is kept for every so many bytes sent. */
const MARKER_BYTES = 8_192

/**
 * Shortest time over which a rate is taken, in milliseconds, beside the round trip. Acknowledgements come in bunches, a turn of
 * the event loop at a time: over less than a few turns the rate would be what the bunch happened to be.
 */
const RATE_MS = 4

/** What was acknowledged at a moment. */
interface Snapshot {
  readonly at: number
  readonly acknowledged: number
}

interface Marker {
  /** DATA bytes sent on the link up to and with this frame. */
  readonly sent: number
  readonly at: number
  /** From 4 to 8 ms before: what was acknowledged since tells the rate. */
  readonly before: Snapshot
}

/**
 * `grow`: four times the bandwidth-delay product, while the rate still rises from round to round.
 * `steady`: one and a half, which lets a path that became faster show it.
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
  readonly #minRtt = new RecentExtreme('min', RTT_FILTER_MS)
  readonly #maxRate = new RecentExtreme('max', RATE_FILTER_MS)
  /** The last two, 4 ms apart at least. */
  #snapshot: Snapshot = { at: 0, acknowledged: 0 }
  #snapshotBefore = this.#snapshot
  /** A round ends when what was sent at its begin is acknowledged. */
  #roundEnd = 0
  #rateBefore = 0
  #rateInRound = 0
  #cappedInRound = false
  /** The round began after a pause: its first acknowledgement tells nothing of the rate. */
  #isWarmingUp = false
  #phaseAt = 0
  #capBeforeDrain: number = CAP.start
  #stalls = 0
  /** Small requests or answers go the same way, and should not wait for a whole cap. */
  isShared = false
  /** When something was acknowledged last. */
  #progressAt = 0
  /** Since when data has been out all the time. */
  #busySince = 0

  /** How often the acknowledgements stalled so far, as they do when the path loses packets. */
  get stalls(): number {
    return this.#stalls
  }

  /** DATA bytes acknowledged so far. */
  get acknowledgedBytes(): number {
    return this.#acknowledged
  }

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

  /** When the oldest frame that is not acknowledged left, in ms; undefined where there is none. */
  get waitingSince(): number | undefined {
    return this.#markers[0]?.at
  }

  /** Smallest round trip of the last 15 to 30 seconds, or since the last drain, in ms; Infinity before the first sample. */
  get minRttMs(): number {
    return this.#minRtt.value
  }

  /** Highest delivery rate of the last 1 to 2 seconds in bytes per ms; 0 before the first sample. */
  get maxRate(): number {
    return this.#maxRate.value
  }

  /** Bytes of DATA frames that may still leave; may be negative. Asking while there is none counts as being held back. */
  get room(): number {
    const room = (this.isShared ? this.#sharedCap : this.#cap) - this.bytes
    if (room <= 0) this.#cappedInRound = true
    return room
  }

  get #sharedCap(): number {
    const rounds = SHARED_ROUNDS[this.#phase] * this.#maxRate.value * this.#minRtt.value
    return rounds > 0 ? Math.min(this.#cap, Math.max(CAP.min, rounds + SHARED_SLACK_BYTES)) : this.#cap
  }

  /** A DATA frame of `bytes` (header and all) leaves. */
  sent(bytes: number, now: number): void {
    // After a pause the clock of the delivery rate starts anew, else idle time would count as slowness.
    if (this.bytes === 0) {
      this.#busySince = now
      this.#snapshot = { at: now, acknowledged: this.#acknowledged }
      this.#snapshotBefore = this.#snapshot
      this.#isWarmingUp = true
      this.#roundEnd = this.#sent + bytes
    }
    this.#sent += bytes
    if (this.#sent - this.#lastMarker < MARKER_BYTES && this.#markers.length > 0) return
    this.#lastMarker = this.#sent
    if (now - this.#snapshot.at >= RATE_MS) {
      this.#snapshotBefore = this.#snapshot
      this.#snapshot = { at: now, acknowledged: this.#acknowledged }
    }
    this.#markers.push({ sent: this.#sent, at: now, before: this.#snapshotBefore })
  }

  /**
   * An ACK came: the receiver has `received` DATA bytes and held the answer for `holdMs`.
   * @returns false where it acknowledges what was never sent; nothing changes then
   */
  acknowledged(received: number, holdMs: number, now: number): boolean {
    if (received > this.#sent) return false
    if (received <= this.#acknowledged) return true
    this.#acknowledged = received
    this.#noteStall(now)
    const marker = this.#newestCovered(received)
    if (marker !== undefined) this.#sample(marker, holdMs, now)
    if (received >= this.#roundEnd) this.#endRound(now)
    return true
  }

  #noteStall(now: number): void {
    const rtt = this.#minRtt.value
    // What left only now cannot be acknowledged before a round trip is over.
    const pause = now - Math.max(this.#progressAt, (this.waitingSince ?? now) + rtt)
    this.#progressAt = now
    if (!(rtt >= STALL_RTT_MS) || now - this.#busySince < SLOW_START_ROUNDS * rtt) return
    if (this.#phase !== 'drain' && pause > Math.max(STALL_MS, STALL_ROUNDS * rtt)) this.#stalls++
  }

  #newestCovered(received: number): Marker | undefined {
    let count = 0
    while (count < this.#markers.length && (this.#markers[count] as Marker).sent <= received) count++
    return count === 0 ? undefined : this.#markers.splice(0, count).at(-1)
  }

  #sample(marker: Marker, holdMs: number, now: number): void {
    const rtt = Math.max(0.01, now - marker.at - holdMs)
    this.#minRtt.add(rtt, now)
    const elapsed = now - marker.before.at
    if (elapsed < RATE_MS) return
    const rate = (this.#acknowledged - marker.before.acknowledged) / elapsed
    this.#maxRate.add(rate, now)
    if (rate > this.#rateInRound) this.#rateInRound = rate
  }

  #endRound(now: number): void {
    this.#roundEnd = this.#sent
    if (this.#isWarmingUp) {
      this.#isWarmingUp = false
      return
    }
    const wasCapped = this.#cappedInRound
    const rate = this.#rateInRound
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
      this.#settle(4)
      return
    }
    this.#enter('steady', now)
    this.#settle(STEADY_ROUNDS)
  }

  #hold(now: number): void {
    if (now - this.#phaseAt < PROBE_MS) {
      this.#settle(STEADY_ROUNDS)
      return
    }
    this.#capBeforeDrain = this.#cap
    this.#cap = Math.max(CAP.min / 2, this.#cap / 4)
    this.#minRtt.reset()
    this.#enter('drain', now)
  }

  /** Makes the cap so many bandwidth-delay products. */
  #settle(rounds: number): void {
    const wanted = this.#maxRate.value * (rounds * this.#minRtt.value + TURN_MS)
    if (wanted > 0 && Number.isFinite(wanted)) this.#cap = Math.max(CAP.min, Math.min(CAP.max, wanted))
  }

  #enter(phase: CapPhase, now: number): void {
    this.#phase = phase
    this.#phaseAt = now
  }
}
