/** A bounded memory of what is good for a while and need not survive a restart. The oldest go first where it is full. */
export class Expiring<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly until: number }>()
  readonly #max: number

  /** @param max most entries at a time */
  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#entries.size
  }

  /** @param until ms on the clock of the caller */
  set(key: string, value: T, until: number, now: number): void {
    for (const [oldest, entry] of this.#entries) {
      if (entry.until > now && this.#entries.size < this.#max) break
      this.#entries.delete(oldest)
    }
    this.#entries.set(key, { value, until })
  }

  get(key: string, now: number): T | undefined {
    const entry = this.#entries.get(key)
    return entry !== undefined && entry.until > now ? entry.value : undefined
  }

  /** Takes it away, so that it works once. */
  take(key: string, now: number): T | undefined {
    const value = this.get(key, now)
    this.#entries.delete(key)
    return value
  }

  values(now: number): T[] {
    return [...this.#entries.values()].filter(({ until }) => until > now).map(({ value }) => value)
  }
}
