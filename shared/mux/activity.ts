/** What moved less than this in the last second is fresh. */
const FRESH_BYTES = 65_536

/** What moved lately, to tell a small request from a bulk transfer. */
export class Activity {
  #since = 0
  #bytes = 0
  /** In the second before. */
  #formerBytes = 0

  add(bytes: number, now: number): void {
    if (now - this.#since > 1_000) {
      this.#formerBytes = now - this.#since > 2_000 ? 0 : this.#bytes
      this.#since = now
      this.#bytes = 0
    }
    this.#bytes += bytes
  }

  isFresh(now: number): boolean {
    return this.#bytes < FRESH_BYTES || now - this.#since > 1_000
  }

  /** Bytes of the last second, or of up to two. */
  recentBytes(now: number): number {
    const age = now - this.#since
    if (age > 2_000) return 0
    return age > 1_000 ? this.#bytes : this.#bytes + this.#formerBytes
  }

  /** Fresh, and not because a second of a bulk transfer has just begun. */
  isLight(now: number): boolean {
    return this.recentBytes(now) < FRESH_BYTES
  }
}
