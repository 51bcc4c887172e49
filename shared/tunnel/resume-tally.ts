import type { Effects } from '../effects.ts'
import type { ErrorCode } from '../errors.ts'

/** What became of the searches for a new path of streams that had lost theirs, since the start of the process. */
export interface ResumeSummary {
  /** How many streams went on. */
  readonly resumed: number
  /** How many searches ended otherwise, by the code that says why. */
  readonly failed: Readonly<Partial<Record<ErrorCode, number>>>
  /** `outcome` is OK for a stream that went on; `at` in milliseconds since 1970. */
  readonly last?: { readonly at: number; readonly outcome: ErrorCode }
}

/** Counts searches for a path by their outcome; codes are few, so it stays small. */
export class ResumeTally {
  readonly #effects: Pick<Effects, 'date'>
  readonly #counts = new Map<ErrorCode, number>()
  #last: ResumeSummary['last']

  constructor(effects: Pick<Effects, 'date'>) {
    this.#effects = effects
  }

  /** A stream went on (OK), or a search ended by `outcome`. */
  note(outcome: ErrorCode): void {
    this.#counts.set(outcome, (this.#counts.get(outcome) ?? 0) + 1)
    this.#last = { at: this.#effects.date(), outcome }
  }

  summary(): ResumeSummary {
    const { OK: resumed = 0, ...failed } = Object.fromEntries(this.#counts) as Partial<
      Record<ErrorCode, number>
    >
    return { resumed, failed, ...(this.#last === undefined ? {} : { last: this.#last }) }
  }
}
