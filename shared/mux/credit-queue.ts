import type { Link } from './link.ts'
import type { CreditSource } from './stream-handler.ts'

/** Who owes a CREDIT, or another control frame of which only the last matters, until the link has room for it. */
export class CreditQueue {
  readonly #due: CreditSource[] = []

  get isEmpty(): boolean {
    return this.#due.length === 0
  }

  add(source: CreditSource): void {
    this.#due.push(source)
  }

  remove(source: CreditSource): void {
    const at = this.#due.indexOf(source)
    if (at !== -1) this.#due.splice(at, 1)
  }

  /** Hands every frame that is due now to `link`. What falls due meanwhile waits for the next call. */
  collect(now: number, link: Pick<Link, 'send'>): void {
    for (const source of this.#due.splice(0)) {
      const bytes = source.takeCredit(now)
      if (bytes !== undefined) link.send(bytes)
    }
  }
}
