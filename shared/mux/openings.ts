import { TunnelError } from '../errors.ts'
import { SESSION_LIMITS } from './session-limits.ts'
import type { Stream } from './stream.ts'

/** A stream that we opened and the id under which the answer would come. */
interface Opening {
  readonly stream: Stream
  readonly id: number
  deadline: number
}

/** The streams of a session that we opened and that have no answer yet: how many there may be, and for how long. */
export class Openings {
  readonly #isCarried: (id: number, stream: Stream) => boolean
  /** Oldest first. */
  #waiting: Opening[] = []

  /** `isCarried`: whether the session still has this stream under this id. */
  constructor(isCarried: (id: number, stream: Stream) => boolean) {
    this.#isCarried = isCarried
  }

  /** Monotonic ms of the next `expire`. */
  get deadline(): number {
    return this.#waiting[0]?.deadline ?? Number.POSITIVE_INFINITY
  }

  /** @throws {TunnelError} OVERLOADED where too many wait already */
  checkRoom(): void {
    if (this.#waiting.length < SESSION_LIMITS.unansweredOpens) return
    this.#waiting = this.#waiting.filter((opening) => this.#isWaiting(opening))
    if (this.#waiting.length < SESSION_LIMITS.unansweredOpens) return
    throw new TunnelError('OVERLOADED', `${SESSION_LIMITS.unansweredOpens} streams wait for an answer`)
  }

  add(stream: Stream): void {
    this.#waiting.push({ stream, id: stream.id, deadline: Number.POSITIVE_INFINITY })
  }

  clear(): void {
    this.#waiting = []
  }

  /** The wait for an answer begins now for what was opened since the last call: only now is the time known. */
  time(now: number): void {
    for (let index = this.#waiting.length - 1; index >= 0; index--) {
      const opening = this.#waiting[index] as Opening
      if (opening.deadline !== Number.POSITIVE_INFINITY) return
      opening.deadline = now + SESSION_LIMITS.openTimeoutMs
    }
  }

  /** Gives up what has waited too long; a stream that looked for a new path only loses this one. */
  expire(now: number): void {
    while (this.#waiting.length > 0) {
      const oldest = this.#waiting[0] as Opening
      const isWaiting = this.#isWaiting(oldest)
      if (isWaiting && oldest.deadline > now) return
      this.#waiting.shift()
      if (!isWaiting) continue
      if (oldest.stream.isOpening) oldest.stream.reset('OPEN_TIMEOUT')
      else oldest.stream.leavePath(new TunnelError('OPEN_TIMEOUT'))
    }
  }

  /** A stream may have gone on elsewhere in the meantime, even under the same number. */
  #isWaiting({ stream, id }: Opening): boolean {
    return this.#isCarried(id, stream) && stream.path.isUnanswered
  }
}
