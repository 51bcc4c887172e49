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

/** What the path is like; may be changed between two runs. */
export interface PathOptions {
  /** Of the slowest stretch, in bytes per ms. */
  rate: number
  /** Without any queue, in ms. */
  rttMs: number
  /** Bytes per ms that the application writes; Infinity keeps the cap the only limit. */
  demand: number
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
    this.#write(0)
    this.#send()
    while (this.now < until) {
      const next = this.#events[0]
      // A limited application writes every ms; else only what arrives changes anything.
      const writeAt = Number.isFinite(this.options.demand) ? this.now + 1 : Number.POSITIVE_INFINITY
      const at = Math.min(next?.at ?? Number.POSITIVE_INFINITY, writeAt, until)
      this.#write(at - this.now)
      this.now = at
      if (next?.at === at) {
        this.#events.shift()
        next.run()
      }
      this.#send()
    }
    return this.delivered - before
  }

  /** Nothing crosses the bottleneck for `ms`. */
  outage(ms: number): void {
    this.#freeAt = Math.max(this.now, this.#freeAt) + ms
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

  /** The application writes for `ms`, at most one frame ahead of what leaves. */
  #write(ms: number): void {
    const { demand } = this.options
    const waiting = Math.min(this.#written, this.#sent + FRAME)
    this.#written = Number.isFinite(demand) ? waiting + ms * demand : Number.POSITIVE_INFINITY
  }

  #send(): void {
    while (this.#sent + FRAME <= this.#written && this.inFlight.room > 0) {
      this.inFlight.sent(FRAME, this.now)
      this.#sent += FRAME
      for (let part = 0; part < 4; part++) this.#cross()
    }
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
