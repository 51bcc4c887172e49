/**
 * For how long after a small request or answer more of them are expected: so many round trips, because the next one may come
 * with the answer to this one, which waits for what stands in the path; in ms at least and at most.
 */
const EXPECTED_ROUNDS = 4
const EXPECTED_MS = { min: 100, max: 2_000 } as const

/**
 * Whether somebody waits for small requests and answers on the way to one peer. All sessions of a process with that peer have
 * one of these between them: they share a path, and what one leaves standing in it the other's answers wait for.
 */
export class Attention {
  #sharedUntil = Number.NEGATIVE_INFINITY

  /** A small request or answer leaves over a path with this round trip in ms, which may be Infinity as long as nobody knows. */
  note(now: number, rttMs: number): void {
    const rounds = Number.isFinite(rttMs) ? EXPECTED_ROUNDS * rttMs : 0
    this.#sharedUntil = now + Math.min(EXPECTED_MS.max, Math.max(EXPECTED_MS.min, rounds))
  }

  /** True while more of them are expected. */
  isShared(now: number): boolean {
    return now < this.#sharedUntil
  }
}
