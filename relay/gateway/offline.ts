import type { ErrorCode } from '../../shared/errors.ts'

/** Since when a site is without an agent, and how its last session ended. */
export interface Offline {
  /** Milliseconds since 1970. */
  readonly since: number
  readonly code: ErrorCode
}

/** Most places of which is known since when they are without an agent; the oldest are forgotten. */
const MAX_OFFLINE = 10_000

/** Sites that had an agent since the relay began and have none now, by their key. */
export class OfflineSites {
  readonly #sites = new Map<string, Offline>()

  get(key: string): Offline | undefined {
    return this.#sites.get(key)
  }

  /** The last agent of a site has gone. */
  went(key: string, offline: Offline): void {
    const [oldest] = this.#sites.keys()
    if (this.#sites.size >= MAX_OFFLINE && oldest !== undefined) this.#sites.delete(oldest)
    this.#sites.set(key, offline)
  }

  /** A site has an agent again. */
  came(key: string): void {
    this.#sites.delete(key)
  }
}
