import type { Effects } from '../../shared/effects.ts'
import type { ErrorCode } from '../../shared/errors.ts'
import { ResumeTally } from '../../shared/tunnel/resume-tally.ts'

/** What was refused: an OPEN before its target was reached, or the upgrade of a connection. */
export type RefusedAt = 'stream' | 'upgrade'

/** What the relay counts since its start. Nothing in it grows with tenants, sites or streams. */
export class RelayCounts {
  readonly resumes: ResumeTally
  readonly #refusals = new Map<`${RefusedAt} ${ErrorCode}`, number>()
  #toSite = 0
  #fromSite = 0

  constructor(effects: Pick<Effects, 'date'>) {
    this.resumes = new ResumeTally(effects)
  }

  refused(at: RefusedAt, code: ErrorCode): void {
    const key = `${at} ${code}` as const
    this.#refusals.set(key, (this.#refusals.get(key) ?? 0) + 1)
  }

  /** A stream, or one of its paths, is over: so many bytes went each way. */
  carried(toSite: number, fromSite: number): void {
    this.#toSite += toSite
    this.#fromSite += fromSite
  }

  get bytes(): { readonly toSite: number; readonly fromSite: number } {
    return { toSite: this.#toSite, fromSite: this.#fromSite }
  }

  get refusals(): readonly { readonly at: RefusedAt; readonly code: ErrorCode; readonly count: number }[] {
    return [...this.#refusals].map(([key, count]) => {
      const [at, code] = key.split(' ') as [RefusedAt, ErrorCode]
      return { at, code, count }
    })
  }
}
