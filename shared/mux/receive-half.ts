import { type ErrorCode, TunnelError } from '../errors.ts'
import type { StreamHandler } from './stream-handler.ts'
import { move, RECEIVE_MOVES, type ReceiveState } from './stream-state.ts'
import { type WindowBudget, WindowTuner } from './window.ts'

/**
 * Consumed bytes after which the first CREDIT is due. Until it has come the sender keeps the stream to one link of its session
 * (docs/protocol.md section 6.6), and half of a window is seconds there on a path that loses packets.
 */
const FIRST_CREDIT_BYTES = 16_384

/** Most separate early pieces that wait for a gap to close; beyond it the sender is asked to send again. */
const MAX_EARLY_PIECES = 1_024

interface EarlyPiece {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** What became of a piece: delivered or known already, waiting behind a gap, or dropped because too many wait. */
export type Arrival = 'taken' | 'early' | 'dropped'

/**
 * One direction of a stream, seen from its receiver: what has come is handed on in order and once, whatever path or
 * repetition brought it (docs/protocol.md section 6). It holds early bytes only within the credit it granted.
 */
export class ReceiveHalf {
  readonly #tuner: WindowTuner
  readonly #reader: Pick<StreamHandler, 'data' | 'ended'>
  #state: ReceiveState = 'receiving'
  /** Why nobody reads any more, once that is so: what the owner still holds counts as consumed already. */
  #stopCode: ErrorCode | undefined
  #granted: number
  /** Offset behind the last byte that came in order. */
  #received = 0
  /** Offset behind the furthest byte that came at all. */
  #highest = 0
  #consumed = 0
  /** Length of the stream once FIN told it; -1 before. */
  #finalOffset = -1
  /** Sorted by offset, without overlaps. */
  #early: EarlyPiece[] = []
  #earlyBytes = 0
  #isDropped = false
  #finAnnounced = false
  /** A CREDIT that says that bytes were consumed has gone out. */
  #hasGranted = false
  /** All of the last CREDIT is to be said again. */
  #mustRepeat = false

  constructor(budget: WindowBudget, granted: number, reader: Pick<StreamHandler, 'data' | 'ended'>) {
    this.#tuner = new WindowTuner(budget)
    this.#granted = granted
    this.#reader = reader
  }

  get received(): number {
    return this.#received
  }

  get consumed(): number {
    return this.#consumed
  }

  get grantedOffset(): number {
    return this.#granted
  }

  /** Bytes that came but were not consumed yet. */
  get bufferedBytes(): number {
    return this.#received - this.#consumed + this.#earlyBytes
  }

  /** True until the stream ended here or nobody reads any more. */
  get isReceiving(): boolean {
    return this.#state === 'receiving'
  }

  /** Why nobody reads any more, where the sender should hear it: it has not ended yet. */
  get stopToTell(): ErrorCode | undefined {
    return this.#state === 'discarding' ? this.#stopCode : undefined
  }

  /** True once every byte and FIN were handed on. */
  get #isEnded(): boolean {
    return this.#state === 'ended' || this.#state === 'done'
  }

  /** True once the sender was told that everything to the end was consumed. */
  get isDone(): boolean {
    return this.#state === 'done'
  }

  /** True once the end was handed on and every byte consumed: what CREDIT with FIN tells the sender. */
  get isDelivered(): boolean {
    return this.#isEnded && this.#consumed === this.#received
  }

  /**
   * Books a piece and hands on what is now in order: `data` for each piece, then `ended` once.
   * @throws {TunnelError} FLOW_CONTROL beyond the grant, PROTOCOL beyond or against a former FIN; nothing changes then
   */
  accept(offset: number, bytes: Uint8Array, fin: boolean, now: number): Arrival {
    const pieceEnd = offset + bytes.length
    if (pieceEnd > this.#granted) {
      throw new TunnelError('FLOW_CONTROL', `sent up to ${pieceEnd}, granted ${this.#granted}`)
    }
    this.#checkFinal(pieceEnd, fin)
    if (fin) this.#finalOffset = pieceEnd
    if (pieceEnd > this.#highest) this.#highest = pieceEnd
    let arrival: Arrival = 'taken'
    if (offset > this.#received) {
      arrival = this.#keepEarly(offset, bytes)
      if (pieceEnd === this.#granted) this.#tuner.usedUpBehindGap()
    } else if (pieceEnd > this.#received) {
      this.#advance(pieceEnd === offset ? bytes : bytes.subarray(this.#received - offset))
      if (this.#early.length > 0) this.#deliverEarly()
      // Whoever took the bytes may have dropped the half: its window is given back already.
      if (this.#isDropped) return arrival
      this.#tuner.received(this.#received, now)
    }
    if (this.#received === this.#finalOffset && !this.#isEnded) this.#end()
    return arrival
  }

  #end(): void {
    const wasRead = this.isReceiving
    this.#state = move(RECEIVE_MOVES, this.#state, 'end')
    if (wasRead) this.#reader.ended()
  }

  /** The application took `length` bytes more. */
  consume(length: number): void {
    if (this.#stopCode === undefined) this.#book(length)
  }

  /** Nobody reads any more: what came and was not consumed is dropped, as is what comes. False where that is so already. */
  stop(code: ErrorCode): boolean {
    if (this.#stopCode !== undefined) return false
    this.#stopCode = code
    if (this.isReceiving) this.#state = move(RECEIVE_MOVES, this.#state, 'stop')
    this.#book(this.#received - this.#consumed)
    return true
  }

  #book(length: number): void {
    this.#consumed += length
    if (this.#consumed > this.#received) {
      throw new TunnelError('INTERNAL', `${this.#consumed} consumed, ${this.#received} received`)
    }
  }

  /** Whether a CREDIT should go out: the first bytes or half the window was consumed, or the end was reached and not told yet. */
  get isCreditDue(): boolean {
    if (this.#mustRepeat) return true
    if (this.isDelivered) return !this.#finAnnounced
    if (this.#finalOffset !== -1) return false
    if (!this.#hasGranted && this.#consumed >= FIRST_CREDIT_BYTES) return true
    return this.#granted - this.#consumed <= this.#tuner.size / 2
  }

  /** The CREDIT to send now; the half books it as granted. */
  grant(now: number): { maxOffset: number; consumed: number; fin: boolean } {
    const before = this.#granted
    // Once the length is known there is nothing beyond it to grant.
    const wanted = this.#finalOffset === -1 ? this.#consumed + this.#tuner.size : this.#granted
    if (wanted > this.#granted) {
      this.#granted = wanted
      this.#tuner.granted(before, now)
    }
    if (this.isDelivered) this.#finAnnounced = true
    if (this.#consumed > 0) this.#hasGranted = true
    this.#mustRepeat = false
    return { maxOffset: this.#granted, consumed: this.#consumed, fin: this.isDelivered }
  }

  /** The sender hears now that everything to the end was consumed. */
  told(): void {
    if (this.#state === 'ended') this.#state = move(RECEIVE_MOVES, this.#state, 'deliver')
  }

  /** The sender may not have heard that the end was delivered: tell it again. */
  repeatEnd(): void {
    this.#finAnnounced = false
  }

  /**
   * The way to the sender has lost a CREDIT perhaps: tell it again. What was granted stands in OPEN and OPEN_OK, but a
   * sender that does not hear what was consumed keeps it, and may have no room for more.
   */
  repeatCredit(): void {
    this.#mustRepeat = true
  }

  shrinkIfIdle(now: number): void {
    this.#tuner.shrinkIfIdle(now)
  }

  /** Drops what waits and gives the window back; the half is of no use afterwards. */
  drop(): void {
    this.#isDropped = true
    this.#early = []
    this.#earlyBytes = 0
    this.#tuner.release()
  }

  #checkFinal(pieceEnd: number, fin: boolean): void {
    const final = this.#finalOffset
    if (final !== -1 && (pieceEnd > final || (fin && pieceEnd !== final))) {
      throw new TunnelError('PROTOCOL', `bytes up to ${pieceEnd} of a stream that ends at ${final}`)
    }
    if (fin && pieceEnd < this.#highest) {
      throw new TunnelError('PROTOCOL', `FIN at ${pieceEnd}, but bytes up to ${this.#highest} were sent`)
    }
  }

  #advance(bytes: Uint8Array): void {
    this.#received += bytes.length
    if (this.isReceiving) this.#reader.data(bytes)
    else this.#book(bytes.length)
  }

  /** Keeps what is new of an early piece, so that never more waits than was granted, however pieces overlap. */
  #keepEarly(offset: number, bytes: Uint8Array): Arrival {
    const end = offset + bytes.length
    let at = this.#early.length
    while (at > 0 && endOf(this.#early[at - 1] as EarlyPiece) > offset) at--
    for (let from = offset; from < end; at++) {
      const next = this.#early[at]
      const to = Math.min(end, next?.offset ?? end)
      if (to > from) {
        if (this.#early.length >= MAX_EARLY_PIECES) return 'dropped'
        // The bytes are good for this call only.
        this.#early.splice(at, 0, {
          offset: from,
          bytes: new Uint8Array(bytes.subarray(from - offset, to - offset)),
        })
        this.#earlyBytes += to - from
        from = to
      } else {
        from = endOf(next as EarlyPiece)
      }
    }
    return 'early'
  }

  #deliverEarly(): void {
    for (let piece = this.#early[0]; piece !== undefined && piece.offset <= this.#received; ) {
      this.#early.shift()
      this.#earlyBytes -= piece.bytes.length
      if (endOf(piece) > this.#received) this.#advance(piece.bytes.subarray(this.#received - piece.offset))
      piece = this.#early[0]
    }
  }
}

function endOf(piece: EarlyPiece): number {
  return piece.offset + piece.bytes.length
}
