/** Smallest and first receive window of a stream, in bytes. */
export const INITIAL_WINDOW = 262_144

/** Largest receive window of a stream, in bytes. */
export const MAX_WINDOW = 16_777_216

/** A window that grew goes back to the first size after so long without a byte, in milliseconds. */
export const WINDOW_IDLE_MS = 30_000

/** What all streams of a process may hold beyond 256 KiB each way and stream: in windows granted, and in bytes kept for sending again. */
export interface WindowBudget {
  /** Takes `bytes` from the budget; false where they are not there, and nothing is taken. */
  reserve(bytes: number): boolean
  free(bytes: number): void
}

/** A budget of `limit` bytes. */
export function createWindowBudget(limit: number): WindowBudget & { readonly used: number } {
  let used = 0
  return {
    get used() {
      return used
    },
    reserve(bytes) {
      if (used + bytes > limit) return false
      used += bytes
      return true
    },
    free(bytes) {
      used -= bytes
    },
  }
}

/**
 * Tunes one receive window (docs/protocol.md section 5.2). The round trip is the smallest time between a grant and the
 * first byte beyond the grant before it: no byte can come sooner, however fast the sender. A sender that stood at the old
 * grant and answers within two such round trips, twice in a row, was held back by the window, so it doubles.
 */
export class WindowTuner {
  readonly #budget: WindowBudget
  #size = INITIAL_WINDOW
  #probeOffset = -1
  #probeAt = 0
  /** A piece ended at the grant exactly: only a sender that has more, but no credit for it, cuts there. */
  #isAtProbe = false
  #minRttMs = Number.POSITIVE_INFINITY
  #hits = 0
  #receivedOffset = 0
  #lastByteAt = 0

  constructor(budget: WindowBudget) {
    this.#budget = budget
  }

  /** Bytes that the sender may be ahead of the consumer. */
  get size(): number {
    return this.#size
  }

  /** A grant leaves now; `before` was the highest offset granted until now. */
  granted(before: number, now: number): void {
    if (this.#probeOffset !== -1) return
    this.#probeOffset = before
    this.#probeAt = now
    this.#isAtProbe = this.#receivedOffset === before
  }

  /** Bytes up to `offset` have come. */
  received(offset: number, now: number): void {
    this.#lastByteAt = now
    this.#receivedOffset = offset
    if (this.#probeOffset === -1) return
    if (offset <= this.#probeOffset) {
      this.#isAtProbe = offset === this.#probeOffset
      return
    }
    this.#probeOffset = -1
    const rtt = now - this.#probeAt
    if (rtt < this.#minRttMs) this.#minRttMs = rtt
    this.#hits = this.#isAtProbe && rtt <= 2 * this.#minRttMs ? this.#hits + 1 : 0
    if (this.#hits >= 2) this.#double()
  }

  /**
   * The sender used all that was granted while a gap waits for another link: until that closes the window is all that may
   * move, so it has to be as large as what the other links carry in the meantime.
   */
  usedUpBehindGap(): void {
    this.#double()
  }

  #double(): void {
    this.#hits = 0
    if (this.#size < MAX_WINDOW && this.#budget.reserve(this.#size)) this.#size *= 2
  }

  /** Takes back what an idle stream does not need. What was granted stays granted. */
  shrinkIfIdle(now: number): void {
    if (this.#size === INITIAL_WINDOW || now - this.#lastByteAt < WINDOW_IDLE_MS) return
    this.release()
    this.#minRttMs = Number.POSITIVE_INFINITY
  }

  /** Gives the budget back; also called when the stream ends. */
  release(): void {
    this.#budget.free(this.#size - INITIAL_WINDOW)
    this.#size = INITIAL_WINDOW
  }
}
