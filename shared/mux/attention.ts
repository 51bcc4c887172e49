/** How long after a small request or answer more of them are expected, in ms. */
const SHARED_MS = 100

/**
 * Whether somebody waits for small requests and answers on the way to one peer. All sessions of a process with that peer have
 * one of these between them: they share a path, and what one leaves standing in it the other's answers wait for.
 */
export class Attention {
  #smallAt = Number.NEGATIVE_INFINITY

  /** A small request or answer leaves. */
  note(now: number): void {
    this.#smallAt = now
  }

  /** True while more of them are expected. */
  isShared(now: number): boolean {
    return now - this.#smallAt < SHARED_MS
  }
}
