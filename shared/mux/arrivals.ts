import { encodeControl } from './encode.ts'
import { FLAG } from './frame.ts'

/** DATA bytes after which an ACK is due at once, and the longest it waits otherwise in ms. */
const ACK_BYTES = 32_768
const ACK_DELAY_MS = 20

/** What DATA arrived on a link, and when the peer is to hear of it (docs/protocol.md section 5.3). */
export class Arrivals {
  #bytes = 0
  #acknowledged = 0
  #lastAt = 0
  #dueAt = Number.POSITIVE_INFINITY

  /** DATA bytes so far, headers counted. */
  get bytes(): number {
    return this.#bytes
  }

  /** Monotonic ms at which an ACK is due; Infinity while nothing is to be acknowledged. */
  get dueAt(): number {
    return this.#dueAt
  }

  /** A DATA frame came. @param bytes of it, header and all */
  add(bytes: number, flags: number, now: number): void {
    if (this.#bytes === this.#acknowledged || this.#dueAt === Number.POSITIVE_INFINITY) {
      this.#dueAt = now + ACK_DELAY_MS
    }
    this.#bytes += bytes
    this.#lastAt = now
    if ((flags & FLAG.ACK_NOW) !== 0) this.#dueAt = now
  }

  isDue(now: number): boolean {
    return this.#bytes - this.#acknowledged >= ACK_BYTES || now >= this.#dueAt
  }

  /** The ACK for all that came; the caller owns its bytes. */
  take(now: number): Uint8Array {
    this.#acknowledged = this.#bytes
    this.#dueAt = Number.POSITIVE_INFINITY
    const holdUs = Math.min(0xffff_ffff, Math.max(0, Math.round((now - this.#lastAt) * 1_000)))
    return encodeControl({ type: 'ACK', id: 0, received: this.#bytes, holdUs })
  }
}
