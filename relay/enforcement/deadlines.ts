/** What ends when, by the second: what is due is found without looking at the rest. */
export class Deadlines<One> {
  /** By the second since 1970 in which it ends. */
  readonly #bySecond = new Map<number, Set<One>>()
  readonly #seconds = new Map<One, number>()
  /** No second before this one has anything. */
  #first = Number.POSITIVE_INFINITY

  get size(): number {
    return this.#seconds.size
  }

  /** Puts `one` at `at` ms since 1970, in the place of where it was; Infinity is never. */
  set(one: One, at: number): void {
    this.delete(one)
    if (at === Number.POSITIVE_INFINITY) return
    const second = Math.ceil(at / 1_000)
    const peers = this.#bySecond.get(second)
    if (peers === undefined) this.#bySecond.set(second, new Set([one]))
    else peers.add(one)
    this.#seconds.set(one, second)
    this.#first = Math.min(this.#first, second)
  }

  delete(one: One): void {
    const second = this.#seconds.get(one)
    if (second === undefined) return
    this.#seconds.delete(one)
    const peers = this.#bySecond.get(second)
    peers?.delete(one)
    if (peers?.size === 0) this.#bySecond.delete(second)
  }

  /** Takes out what has ended by `now`, in ms since 1970. */
  due(now: number): One[] {
    const second = Math.floor(now / 1_000)
    if (second < this.#first) return []
    const due: One[] = []
    this.#first = Number.POSITIVE_INFINITY
    for (const [at, peers] of this.#bySecond) {
      if (at <= second) due.push(...peers)
      else this.#first = Math.min(this.#first, at)
    }
    for (const one of due) this.delete(one)
    return due
  }
}
