import { type ErrorCode, TunnelError } from '../errors.ts'
import { Activity } from './activity.ts'
import { encodeControl } from './encode.ts'
import { FLAG, type StreamFrame } from './frame.ts'
import { giveBackMemory, takeMemory } from './piece-memory.ts'
import { Ring } from './ring.ts'
import type { Route } from './route.ts'
import type { DataSource, Piece } from './scheduler.ts'
import type { Session } from './session.ts'
import type { StreamEntry } from './session-handler.ts'
import type { CreditSource } from './stream-handler.ts'

/**
 * What may wait for one side of a route: the largest window, in pieces of which none is pointlessly small. What comes
 * beyond it is dropped, and when the rest has left the receiver is told PATH_LOST, so the sender goes back to the first
 * byte dropped; the link is never paused for one stream.
 */
const MAX_QUEUED_BYTES = 16_777_216
const MAX_QUEUED_PIECES = 8_192

/**
 * What may wait for all routes of one session together: a peer that grants much on many streams and reads none costs no
 * more. One piece of each stream may wait all the same, because the word of what was dropped goes out behind it.
 */
const MAX_SESSION_QUEUED_BYTES = 67_108_864

/** Pieces of early data that wait for the relay's decision. Small neighbours are joined, so honest ones are fewer. */
const MAX_EARLY_PIECES = 256
const JOINED_BYTES = 1_024

/** A piece of DATA on its way through. */
export interface Waiting {
  readonly offset: number
  readonly bytes: Uint8Array
  readonly flags: number
  /** The memory that `bytes` lies in, where the piece is kept. */
  readonly memory?: Uint8Array
}

/** One side of a route: the entry behind an id of one session, and the queue of what goes out there. */
export class RouteLeg implements StreamEntry, DataSource, CreditSource {
  readonly id: number
  readonly activity = new Activity()
  isQueued = false
  mayStripe = false
  readonly #session: Session
  readonly #route: Route
  #queue = new Ring<Waiting>()
  #queuedBytes = 0
  /** Offset of the first piece that was dropped and not sent again yet; -1 where there is no gap. */
  #gapFrom = -1
  /** The last control frame of each type that waits for this side. */
  readonly #control = new Map<StreamFrame['type'], StreamFrame>()
  /** Offset that DATA coming in on this leg must not pass: granted by the other side. */
  #inLimit: number
  /** Furthest offset that came in on this leg. */
  #highest = 0
  #early: Waiting[] = []
  #finished = false

  constructor(session: Session, id: number, route: Route, inLimit: number) {
    this.id = id
    this.#session = session
    this.#route = route
    this.#inLimit = inLimit
  }

  get highest(): number {
    return this.#highest
  }

  /** Early data that came before the route was allowed. */
  takeEarly(): Waiting[] {
    const early = this.#early
    this.#early = []
    return early
  }

  /** Queues a copy of a piece for this side, or drops it where the queue is full or a gap before it has to be filled first. */
  pass(piece: Waiting): void {
    const { length } = piece.bytes
    if (this.#gapFrom !== -1 && piece.offset > this.#gapFrom) return
    if (this.#isFull(length)) {
      // A late piece of another link lies before the gap: the receiver will ask from there.
      this.#gapFrom = piece.offset
      return
    }
    // Only what covers the place fills the gap; what ends before it was late.
    if (this.#gapFrom !== -1 && (piece.offset === this.#gapFrom || piece.offset + length > this.#gapFrom)) {
      this.#gapFrom = -1
    }
    this.#queue.push(kept(piece))
    this.#session.ready(this)
    this.#count(length)
  }

  #isFull(length: number): boolean {
    if (this.#queue.length === 0) return false
    return (
      this.#queue.length >= MAX_QUEUED_PIECES ||
      this.#queuedBytes + length > MAX_QUEUED_BYTES ||
      this.#session.queuedBytes + length > MAX_SESSION_QUEUED_BYTES
    )
  }

  #count(bytes: number): void {
    this.#queuedBytes += bytes
    this.#session.queuedBytes += bytes
  }

  /** All that was kept has left: the receiver, which has it before it reads this, asks for what was dropped behind it. */
  #tellGap(): void {
    this.#session.control(encodeControl({ type: 'PATH_LOST', id: this.id, fin: false }))
  }

  /** Tells this side's end that the path is over and the stream is not. */
  sendPathLost(): void {
    this.#session.control(encodeControl({ type: 'PATH_LOST', id: this.id, fin: true }))
  }

  #clearQueue(): void {
    for (let piece = this.#queue.shift(); piece !== undefined; piece = this.#queue.shift()) {
      if (piece.memory !== undefined) giveBackMemory(piece.memory)
    }
    this.#count(-this.#queuedBytes)
  }

  /** Books a grant of the other side: DATA may come in here up to `offset`. */
  allow(offset: number): void {
    if (offset > this.#inLimit) this.#inLimit = offset
  }

  sendRouted(agent: string): void {
    this.#session.control(encodeControl({ type: 'ROUTED', id: this.id, agent }))
  }

  sendReset(code: number, detail: string): void {
    this.#session.control(encodeControl({ type: 'RESET', id: this.id, code, consumed: 0, detail }))
  }

  /** Forgets this side. */
  leave(): void {
    this.#clearQueue()
    this.#early = []
    this.#session.remove(this)
  }

  // As an entry of its session.

  receiveData(offset: number, bytes: Uint8Array, flags: number): void {
    const end = offset + bytes.length
    if (end > this.#inLimit)
      throw new TunnelError('FLOW_CONTROL', `sent up to ${end}, granted ${this.#inLimit}`)
    if (end > this.#highest) this.#highest = end
    const peer = this.#route.peerOf(this)
    const piece = { offset, bytes, flags: flags & (FLAG.FIN | FLAG.SEALED) }
    if (peer !== undefined) {
      peer.pass(piece)
      return
    }
    this.#keepEarly(piece)
  }

  #keepEarly(piece: Waiting): void {
    const last = this.#early.at(-1)
    if (last !== undefined && last.offset + last.bytes.length === piece.offset) {
      const length = last.bytes.length + piece.bytes.length
      if (length <= JOINED_BYTES) {
        const bytes = new Uint8Array(length)
        bytes.set(last.bytes)
        bytes.set(piece.bytes, last.bytes.length)
        this.#early[this.#early.length - 1] = { offset: last.offset, bytes, flags: piece.flags }
        return
      }
    }
    if (this.#early.length >= MAX_EARLY_PIECES) {
      throw new TunnelError('FLOW_CONTROL', 'early data in too many pieces')
    }
    this.#early.push(kept(piece))
  }

  receiveControl(frame: StreamFrame): void {
    const peer = this.#route.peerOf(this)
    if (frame.type === 'RESET') {
      peer?.sendReset(frame.code, frame.detail)
      this.#route.over(frame.code)
      return
    }
    if (frame.type === 'PATH_LOST' && frame.fin) {
      this.#route.lost(this, new TunnelError('SESSION_LOST'), false)
      return
    }
    // ROUTED is the relay's own word.
    if (peer === undefined || frame.type === 'ROUTED') return
    if (frame.type === 'OPEN_OK') {
      this.#route.accepted(this)
      peer.allow(frame.maxOffset)
    }
    if (frame.type === 'CREDIT') {
      peer.allow(frame.maxOffset)
      if (frame.consumed > 0) this.mayStripe = true
    }
    peer.send(frame)
    if (frame.type === 'CREDIT' && frame.fin && !this.#finished) {
      this.#finished = true
      this.#route.finished()
    }
  }

  /**
   * Passes a control frame on when there is room. Each is absolute or asks for the same thing again, so only the last of a
   * type matters: a flood of them costs the other session nothing.
   */
  send(frame: StreamFrame): void {
    if (this.#control.size === 0) this.#session.creditDue(this)
    this.#control.set(frame.type, frame)
  }

  takeCredit(): Uint8Array | undefined {
    const [frame] = this.#control.values()
    if (frame === undefined) return undefined
    this.#control.delete(frame.type)
    if (this.#control.size > 0) this.#session.creditDue(this)
    return encodeControl({ ...frame, id: this.id })
  }

  lose(error: TunnelError): void {
    this.#route.lost(this, error, false)
  }

  giveUp(error: TunnelError): void {
    this.#route.lost(this, error, true)
  }

  reset(code: ErrorCode, detail = ''): void {
    this.#route.end(code, detail)
  }

  sweep(): void {}

  // As a source of data for its session.

  get isReady(): boolean {
    return this.#queue.length > 0
  }

  next(max: number): Piece | undefined {
    const piece = this.#queue.first
    if (piece === undefined) return undefined
    const { offset, bytes, flags, memory } = piece
    if (bytes.length > max) {
      this.#count(-max)
      this.#queue.replaceFirst({ ...piece, offset: offset + max, bytes: bytes.subarray(max) })
      return { id: this.id, offset, bytes: bytes.subarray(0, max), flags: flags & ~FLAG.FIN }
    }
    this.#count(-bytes.length)
    this.#queue.shift()
    if (this.#gapFrom !== -1 && this.#queue.length === 0) this.#tellGap()
    return { id: this.id, offset, bytes, flags, spent: memory }
  }

  sent(): void {}
}

/** A copy of the piece that outlives the call in which it came. */
function kept({ offset, bytes, flags }: Waiting): Waiting {
  const memory = takeMemory(bytes.length)
  memory.set(bytes)
  return { offset, bytes: memory.subarray(0, bytes.length), flags, memory }
}
