/** A first-in first-out queue that neither shifts an array nor makes an object per entry. */
export class Ring<T> {
  #items: (T | undefined)[] = []
  #head = 0

  /** How many wait. */
  get length(): number {
    return this.#items.length - this.#head
  }

  push(item: T): void {
    this.#items.push(item)
  }

  /** The oldest item, which stays. */
  get first(): T | undefined {
    return this.#items[this.#head]
  }

  /** Puts `item` in the place of the oldest. */
  replaceFirst(item: T): void {
    this.#items[this.#head] = item
  }

  shift(): T | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length || this.#head > 1_024) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Takes out the oldest item for which `isWanted` holds. */
  take(isWanted: (item: T) => boolean): T | undefined {
    for (let at = this.#head; at < this.#items.length; at++) {
      const item = this.#items[at] as T
      if (!isWanted(item)) continue
      if (at === this.#head) return this.shift()
      this.#items.splice(at, 1)
      return item
    }
    return undefined
  }

  /** Takes `item` out, wherever it stands. */
  remove(item: T): void {
    const at = this.#items.indexOf(item, this.#head)
    if (at !== -1) this.#items.splice(at, 1)
  }
}
