import { type ErrorCode, TunnelError } from '../errors.ts'
import type { StreamFrame } from './frame.ts'
import type { StreamEntry } from './session-handler.ts'
import { SESSION_LIMITS } from './session-limits.ts'
import { StreamIds } from './stream-ids.ts'
import { TokenBucket } from './token-bucket.ts'

/** What stands behind the ids of a session, and the way of a frame to it. A frame that an entry refuses costs that stream alone. */
export class StreamTable {
  readonly ids: StreamIds
  readonly #entries = new Map<number, StreamEntry>()
  readonly #resets: TokenBucket

  /** `share`: how many times the usual number of RESETs the peer may send. */
  constructor(role: 'relay' | 'peer', share: number, firstId?: number) {
    this.ids = new StreamIds(role, firstId)
    this.#resets = new TokenBucket(SESSION_LIMITS.resetsPerSecond * share, SESSION_LIMITS.resetBurst * share)
  }

  get size(): number {
    return this.#entries.size
  }

  get(id: number): StreamEntry | undefined {
    return this.#entries.get(id)
  }

  set(id: number, entry: StreamEntry): void {
    this.#entries.set(id, entry)
  }

  delete(id: number): void {
    this.#entries.delete(id)
  }

  /** All entries now; they may leave while the list is walked. */
  list(): readonly StreamEntry[] {
    return [...this.#entries.values()]
  }

  sweep(now: number): void {
    for (const entry of this.#entries.values()) entry.sweep(now)
  }

  /** Ends every stream of a session that is over; `isFinal`: no other session may take its place. */
  lose(error: TunnelError, isFinal: boolean): void {
    for (const entry of this.list()) {
      if (isFinal) entry.giveUp(error)
      else entry.lose(error)
    }
    this.#entries.clear()
  }

  resetAll(code: ErrorCode, detail: string): void {
    for (const entry of this.list()) entry.reset(code, detail)
  }

  /** DATA came. @throws {TunnelError} PROTOCOL for a stream that never was */
  data(id: number, flags: number, offset: number, bytes: Uint8Array, now: number): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) {
      this.ids.check(id)
      return
    }
    try {
      entry.receiveData(offset, bytes, flags, now)
    } catch (error) {
      blame(entry, error)
    }
  }

  /** A control frame came. @throws {TunnelError} PROTOCOL for a stream that never was, ENHANCE_CALM for too many RESETs */
  control(frame: StreamFrame, now: number): void {
    // What we opened the peer may refuse as often as we ask; only opening and resetting at once is a way to wear us out.
    if (frame.type === 'RESET' && !this.ids.isOurs(frame.id) && !this.#resets.take(now)) {
      throw new TunnelError('ENHANCE_CALM', 'too many RESETs')
    }
    const entry = this.#entries.get(frame.id)
    if (entry === undefined) {
      this.ids.check(frame.id)
      return
    }
    try {
      entry.receiveControl(frame, now)
    } catch (error) {
      blame(entry, error)
    }
  }
}

function blame(entry: StreamEntry, error: unknown): void {
  if (!(error instanceof TunnelError)) throw error
  entry.reset(error.code, error.detail)
}
