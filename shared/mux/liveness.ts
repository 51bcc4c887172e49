import { TunnelError } from '../errors.ts'

/** How long a PING may stay without any byte in answer, in ms. */
const PING_TIMEOUT_MS = 10_000

/** While DATA is not acknowledged a PING goes out after this part of the interval: streams wait, so it matters sooner. */
const BUSY_PART = 1 / 4

/** The same after the clock jumped (sleep, a stopped process): the peer has probably given up already. */
const PING_AFTER_JUMP_MS = 3_000

/** Whether the peer of a link lives, and how far away it is (docs/protocol.md section 8). Sends nothing itself. */
export class Liveness {
  /** Silence in ms after which a PING goes out. */
  intervalMs: number
  #lastReceivedAt: number
  /** When the PING left that nothing has come after; -1 where there is none. */
  #pingAt = -1
  #timeoutMs = PING_TIMEOUT_MS
  /** When the oldest PING left that has no PONG yet; -1 where there is none. */
  #askedAt = -1
  #pongMs = Number.POSITIVE_INFINITY

  constructor(intervalMs: number, now: number) {
    this.intervalMs = intervalMs
    this.#lastReceivedAt = now
  }

  /** Monotonic ms of the last byte from the peer. */
  get lastReceivedAt(): number {
    return this.#lastReceivedAt
  }

  /** From the last PING to its PONG in ms; Infinity before the first. */
  get pongMs(): number {
    return this.#pongMs
  }

  /** Bytes came. */
  heard(now: number): void {
    this.#lastReceivedAt = now
    this.#pingAt = -1
  }

  /** A PING leaves now. */
  asked(now: number, isAfterJump = false): void {
    this.#pingAt = now
    this.#timeoutMs = isAfterJump ? PING_AFTER_JUMP_MS : PING_TIMEOUT_MS
    if (this.#askedAt === -1) this.#askedAt = now
  }

  /** A PONG came. */
  answered(now: number): void {
    if (this.#askedAt !== -1) this.#pongMs = now - this.#askedAt
    this.#askedAt = -1
  }

  /**
   * How long in ms nothing moved before the question or the DATA that got no answer, or until `now` where none waits.
   * @param waitingSince when the oldest DATA without an ACK left
   */
  idleMs(now: number, waitingSince: number | undefined): number {
    const asked = this.#pingAt === -1 ? now : this.#pingAt
    return Math.max(0, Math.min(asked, waitingSince ?? asked) - this.#lastReceivedAt)
  }

  /** Monotonic ms at which the next PING is due, or the answer to the last one. */
  deadline(waitingSince: number | undefined): number {
    if (this.#pingAt !== -1) return this.#pingAt + this.#timeoutMs
    // Silence becomes a question sooner where DATA is out, which an ACK should have answered within 20 ms.
    const idle = this.#lastReceivedAt + this.intervalMs
    if (waitingSince === undefined) return idle
    return Math.min(idle, Math.max(waitingSince, this.#lastReceivedAt) + this.intervalMs * BUSY_PART)
  }

  /** Whether a PING is due. @throws {TunnelError} SESSION_LOST where the peer is dead */
  isDue(now: number, waitingSince: number | undefined): boolean {
    if (now < this.deadline(waitingSince)) return false
    if (this.#pingAt === -1) return true
    throw new TunnelError(
      'SESSION_LOST',
      `no byte from the peer for ${Math.round(now - this.#lastReceivedAt)} ms`,
    )
  }
}
