import { TunnelError } from '../errors.ts'
import { SESSION_LIMITS } from './session-limits.ts'
import type { Stream } from './stream.ts'

/** A stream that we opened. */
interface Opening {
  readonly stream: Stream
  deadline: number
}

/**
 * The streams of a session that we opened and that have no answer yet: how many there may be, and for how long. One that is
 * answered or over leaves at once, or it would keep all that belongs to it.
 */
export class Openings {
  /** By the id under which the answer would come, oldest first. */
  readonly #waiting = new Map<number, Opening>()
  /** Opened since the last call that told the time. */
  #untimed: Opening[] = []
  /** Nothing waits for longer than until here; what waited may be answered since. */
  #deadline = Number.POSITIVE_INFINITY

  /** Monotonic ms of the next `expire`; earlier where that is the time of a stream that was answered. */
  get deadline(): number {
    return this.#deadline
  }

  /** @throws {TunnelError} OVERLOADED where too many wait already */
  checkRoom(): void {
    if (this.#waiting.size < SESSION_LIMITS.unansweredOpens) return
    throw new TunnelError('OVERLOADED', `${SESSION_LIMITS.unansweredOpens} streams wait for an answer`)
  }

  add(stream: Stream): void {
    const opening = { stream, deadline: Number.POSITIVE_INFINITY }
    this.#waiting.set(stream.id, opening)
    this.#untimed.push(opening)
  }

  /** The answer under this id came, or is not waited for any more. */
  delete(id: number): void {
    this.#waiting.delete(id)
  }

  clear(): void {
    this.#waiting.clear()
    this.#untimed = []
    this.#deadline = Number.POSITIVE_INFINITY
  }

  /** The wait for an answer begins now for what was opened since the last call: only now is the time known. */
  time(now: number): void {
    if (this.#untimed.length === 0) return
    for (const opening of this.#untimed) opening.deadline = now + SESSION_LIMITS.openTimeoutMs
    this.#untimed = []
    this.#deadline = Math.min(this.#deadline, now + SESSION_LIMITS.openTimeoutMs)
  }

  /** Gives up what has waited too long; a stream that looked for a new path only loses this one. */
  expire(now: number): void {
    if (now < this.#deadline) return
    this.#deadline = Number.POSITIVE_INFINITY
    for (const [id, { stream, deadline }] of this.#waiting) {
      if (deadline > now) {
        this.#deadline = deadline
        return
      }
      this.#waiting.delete(id)
      if (stream.isOpening) stream.reset('OPEN_TIMEOUT')
      else stream.leavePath(new TunnelError('OPEN_TIMEOUT'))
    }
  }
}
