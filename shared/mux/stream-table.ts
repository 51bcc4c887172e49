import { type ErrorCode, TunnelError, wireFromCode } from '../errors.ts'
import { encodeControl } from './encode.ts'
import { INITIAL_CREDIT, type StreamFrame } from './frame.ts'
import type { OpenFrame, SessionHandler, SessionOptions, StreamEntry } from './session-handler.ts'
import { SESSION_LIMITS } from './session-limits.ts'
import type { StreamCarrier } from './stream-handler.ts'
import { StreamIds } from './stream-ids.ts'
import { TokenBucket } from './token-bucket.ts'

/** How often entries are looked at, in ms. */
const SWEEP_MS = 10_000

/**
 * What stands behind the ids of a session: what the peer may open, and the way of a frame to it. A frame that an entry
 * refuses costs that stream alone.
 */
export class StreamTable {
  readonly ids: StreamIds
  readonly #handler: SessionHandler
  readonly #carrier: Pick<StreamCarrier, 'control'>
  readonly #entries = new Map<number, StreamEntry>()
  readonly #opens: TokenBucket
  readonly #resets: TokenBucket
  #sweepAt: number

  constructor(
    { role, handler, firstId, now }: Pick<SessionOptions, 'role' | 'handler' | 'firstId' | 'now'>,
    carrier: Pick<StreamCarrier, 'control'>,
  ) {
    this.ids = new StreamIds(role, firstId)
    this.#handler = handler
    this.#carrier = carrier
    this.#sweepAt = now + SWEEP_MS
    // A relay's session with an agent carries many connectors, each of which the relay has held to these limits.
    const share = role === 'relay' ? 1 : SESSION_LIMITS.relayShare
    const { opensPerSecond, resetsPerSecond, resetBurst } = SESSION_LIMITS
    this.#opens = new TokenBucket(opensPerSecond * share, opensPerSecond * share)
    this.#resets = new TokenBucket(resetsPerSecond * share, resetBurst * share)
  }

  get size(): number {
    return this.#entries.size
  }

  get(id: number): StreamEntry | undefined {
    return this.#entries.get(id)
  }

  /** The id for a stream that we open. @throws {TunnelError} OVERLOADED, or DRAINING where there is none left */
  takeId(): number {
    if (this.size >= SESSION_LIMITS.streams) {
      throw new TunnelError('OVERLOADED', `${SESSION_LIMITS.streams} streams on this session`)
    }
    return this.ids.take()
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

  /** DATA of these streams was lost on the way, perhaps: each receiver asks for it again. */
  askAgain(ids: Iterable<number>): void {
    for (const id of ids) {
      if (this.#entries.has(id)) this.#carrier.control(encodeControl({ type: 'PATH_LOST', id, fin: false }))
    }
  }

  /** Monotonic ms of the next `sweep`. A relay has thousands of sessions without a stream, and nothing to sweep there. */
  get deadline(): number {
    return this.size === 0 ? Number.POSITIVE_INFINITY : this.#sweepAt
  }

  /** Looks at every entry where that is due. */
  sweep(now: number): void {
    if (now < this.#sweepAt) return
    this.#sweepAt = now + SWEEP_MS
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

  /**
   * OPEN came: the session's handler puts something behind the id, or the peer gets RESET.
   * @throws {TunnelError} PROTOCOL where the id is not its next, ENHANCE_CALM for too many
   */
  open(frame: OpenFrame, isDraining: boolean, now: number): void {
    const { id, earlyData } = frame
    this.ids.book(id)
    if (!this.#opens.take(now)) throw new TunnelError('ENHANCE_CALM', 'too many OPENs')
    try {
      if (isDraining) throw new TunnelError('REFUSED', 'draining')
      if (this.size >= SESSION_LIMITS.streams) throw new TunnelError('REFUSED', 'too many streams')
      if (earlyData.length > INITIAL_CREDIT) throw new TunnelError('FLOW_CONTROL')
      this.#handler.opening(frame)
      if (earlyData.length > 0) this.data(id, 0, 0, earlyData, now)
    } catch (error) {
      if (!(error instanceof TunnelError)) throw error
      this.#refuse(id, error)
    }
  }

  #refuse(id: number, { code, detail }: TunnelError): void {
    // Whoever refused may have put something there first.
    const entry = this.#entries.get(id)
    if (entry !== undefined) entry.reset(code, detail)
    else
      this.#carrier.control(
        encodeControl({ type: 'RESET', id, code: wireFromCode(code), consumed: 0, detail }),
      )
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
