import type { InFlight } from '../../../shared/mux/in-flight.ts'

/** Bytes that cross the path as one: what a slow line hands to the receiver at once. */
const SEGMENT = 4_094
const FRAME = SEGMENT * 4

const ACK_BYTES = 32_768
const ACK_DELAY_MS = 20

interface Event {
  readonly at: number
  readonly run: () => void
}

export interface PathOptions {
  /** Of the slowest stretch, in bytes per ms. May be changed while it runs. */
  rate: number
  /** Without any queue, in ms. */
  readonly rttMs: number
  /** Bytes per ms that the application has to send; without end where it is left out. */
  readonly demand?: number
}

/**
 * A sender with an in-flight cap, one bottleneck with a queue that loses nothing, and a receiver that acknowledges as Link
 * does, in virtual time. It measures what went through and how long bytes waited in the queue.
 */
export class SimulatedPath {
  readonly inFlight: InFlight
  readonly options: PathOptions
  now = 0
  /** Bytes that arrived so far. */
  delivered = 0
  /** Longest wait in the queue since it was last set to 0, in ms. */
  worstQueueMs = 0
  /** Sum of the waits and their count, for the mean. */
  queueMsSum = 0
  segments = 0
  /** Called before each step, to change the path or the demand. */
  #events: Event[] = []
  #freeAt = 0
  #acknowledged = 0
  #lastDataAt = 0
  #isAckTimed = false
  #written = 0
  #sent = 0

  constructor(inFlight: InFlight, options: PathOptions) {
    this.inFlight = inFlight
    this.options = options
  }

  /** Lets `ms` pass. Gives the bytes that arrived in that time. */
  run(ms: number): number {
    const until = this.now + ms
    const before = this.delivered
    this.#send()
    for (;;) {
      const next = this.#events[0]
      const writeAt = this.options.demand === undefined ? Number.POSITIVE_INFINITY : this.now + 1
      const at = Math.min(next?.at ?? Number.POSITIVE_INFINITY, writeAt)
      if (at > until) break
      this.now = at
      if (next !== undefined && next.at === at) {
        this.#events.shift()
        next.run()
      }
      this.#send()
    }
    this.now = until
    return this.delivered - before
  }

  /** Forgets what was measured of the queue. */
  measure(): void {
    this.worstQueueMs = 0
    this.queueMsSum = 0
    this.segments = 0
  }

  get meanQueueMs(): number {
    return this.segments === 0 ? 0 : this.queueMsSum / this.segments
  }

  #send(): void {
    if (this.options.demand !== undefined) this.#written = this.now * this.options.demand
    while (this.#hasDemand && this.inFlight.room > 0) {
      this.inFlight.sent(FRAME, this.now)
      this.#sent += FRAME
      for (let part = 0; part < 4; part++) this.#cross()
    }
  }

  get #hasDemand(): boolean {
    return this.options.demand === undefined || this.#sent + FRAME <= this.#written
  }

  /** One segment joins the queue of the bottleneck. */
  #cross(): void {
    const starts = Math.max(this.now, this.#freeAt)
    const waited = starts - this.now
    this.worstQueueMs = Math.max(this.worstQueueMs, waited)
    this.queueMsSum += waited
    this.segments++
    this.#freeAt = starts + SEGMENT / this.options.rate
    this.#at(this.#freeAt + this.options.rttMs / 2, () => this.#arrive())
  }

  #arrive(): void {
    this.delivered += SEGMENT
    this.#lastDataAt = this.now
    if (this.delivered - this.#acknowledged >= ACK_BYTES) this.#acknowledge()
    else if (!this.#isAckTimed) {
      this.#isAckTimed = true
      this.#at(this.now + ACK_DELAY_MS, () => {
        this.#isAckTimed = false
        if (this.delivered > this.#acknowledged) this.#acknowledge()
      })
    }
  }

  #acknowledge(): void {
    const received = this.delivered
    const holdMs = this.now - this.#lastDataAt
    this.#acknowledged = received
    this.#at(this.now + this.options.rttMs / 2, () => {
      this.inFlight.acknowledged(received, holdMs, this.now)
    })
  }

  #at(at: number, run: () => void): void {
    let index = this.#events.length
    while (index > 0 && (this.#events[index - 1] as Event).at > at) index--
    this.#events.splice(index, 0, { at, run })
  }
}
