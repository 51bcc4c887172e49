/** The smallest (or largest) sample of the last `filterMs` to twice that, in two buckets. */
export class RecentExtreme {
  readonly #better: (a: number, b: number) => boolean
  readonly #none: number
  readonly #filterMs: number
  #current: number
  #former: number
  #since = 0

  constructor(kind: 'min' | 'max', filterMs: number) {
    this.#filterMs = filterMs
    this.#better = kind === 'min' ? (a, b) => a < b : (a, b) => a > b
    this.#none = kind === 'min' ? Number.POSITIVE_INFINITY : 0
    this.#current = this.#none
    this.#former = this.#none
  }

  get value(): number {
    return this.#better(this.#former, this.#current) ? this.#former : this.#current
  }

  add(sample: number, now: number): void {
    if (now - this.#since > this.#filterMs) {
      // After a pause of two buckets nothing of the former one counts any more.
      this.#former = now - this.#since > 2 * this.#filterMs ? this.#none : this.#current
      this.#current = this.#none
      this.#since = now
    }
    if (this.#better(sample, this.#current)) this.#current = sample
  }

  reset(): void {
    this.#current = this.#none
    this.#former = this.#none
  }
}
