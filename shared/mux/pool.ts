/** Items kept for each that is out: what is out goes up and down by so much while transfers run. */
const KEPT_FOR_EACH = 3

export interface PoolLimits {
  /** Items kept at rest. */
  readonly least: number
  /** Items kept at most. */
  readonly most: number
}

/**
 * Memory that goes round: what was given back is taken again. It keeps as much as the transfers of the moment have use for,
 * because what is made anew for each piece has V8 look through its whole heap some times a second, and goes back to
 * little when they end.
 */
export class Pool<T> {
  readonly #make: () => T
  readonly #limits: PoolLimits
  readonly #kept: T[] = []
  #out = 0

  constructor(make: () => T, limits: PoolLimits) {
    this.#make = make
    this.#limits = limits
  }

  /** Items that wait to be taken. */
  get kept(): number {
    return this.#kept.length
  }

  /** The caller's until it gives it back, once. */
  take(): T {
    this.#out++
    return this.#kept.pop() ?? this.#make()
  }

  giveBack(item: T): void {
    this.#out--
    const { least, most } = this.#limits
    const room = Math.min(most, least + KEPT_FOR_EACH * this.#out)
    if (this.#kept.length < room) this.#kept.push(item)
    else this.#kept.length = room
  }
}
