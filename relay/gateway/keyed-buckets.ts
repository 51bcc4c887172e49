import { TokenBucket } from '../../shared/mux/token-bucket.ts'

export interface BucketOptions {
  readonly perSecond: number
  /** How many at once; a bucket that has not been asked for as long as it takes to fill is forgotten. */
  readonly burst: number
  /** How many keys are counted at a time; beyond them the one that asked longest ago is forgotten. */
  readonly maxKeys: number
}

/** A token bucket for each address or caller, of bounded number. */
export class KeyedBuckets {
  readonly #options: BucketOptions
  /** The key that asked longest ago comes first. */
  readonly #buckets = new Map<string, { readonly bucket: TokenBucket; readonly at: number }>()

  constructor(options: BucketOptions) {
    this.#options = options
  }

  /** Takes one token of `key`; false where there is none. @param now monotonic ms */
  take(key: string, now: number): boolean {
    const { perSecond, burst, maxKeys } = this.#options
    const bucket = this.#buckets.get(key)?.bucket ?? new TokenBucket(perSecond, burst)
    this.#buckets.delete(key)
    this.#buckets.set(key, { bucket, at: now })
    const fullAfterMs = (burst / perSecond) * 1_000
    for (const [oldest, { at }] of this.#buckets) {
      if (now - at < fullAfterMs && this.#buckets.size <= maxKeys) break
      this.#buckets.delete(oldest)
    }
    return bucket.take(now)
  }
}
