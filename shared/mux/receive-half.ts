import { TunnelError } from '../errors.ts'
import { INITIAL_CREDIT } from './frame.ts'
import { type WindowBudget, WindowTuner } from './window.ts'

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
  #granted: number
  /** Offset behind the last byte that came in order. */
  #received = 0
  /** Offset behind the furthest byte that came at all. */
  #highest = 0
  #consumed = 0
  /** Length of the stream once FIN told it; -1 before. */
  #finalOffset = -1
  #finDelivered = false
  /** Sorted by offset, not overlapping what was delivered. */
  #early: EarlyPiece[] = []
  #finAnnounced = false

  constructor(budget: WindowBudget, granted: number = INITIAL_CREDIT) {
    this.#tuner = new WindowTuner(budget)
    this.#granted = granted
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
    return this.#received - this.#consumed + this.#early.reduce((sum, piece) => sum + piece.bytes.length, 0)
  }

  /** True once every byte and FIN were handed on. */
  get isEnded(): boolean {
    return this.#finDelivered
  }

  /** True once the end was handed on and every byte consumed: what CREDIT with FIN tells the sender. */
  get isDelivered(): boolean {
    return this.#finDelivered && this.#consumed === this.#received
  }

  /**
   * Books a piece and hands on what is now in order: `deliver` for each piece, then `end` once.
   * @throws {TunnelError} FLOW_CONTROL beyond the grant, PROTOCOL beyond or against a former FIN; nothing changes then
   */
  accept(
    piece: { offset: number; bytes: Uint8Array; fin: boolean },
    now: number,
    deliver: (bytes: Uint8Array) => void,
    end: () => void,
  ): Arrival {
    const { offset, bytes, fin } = piece
    const pieceEnd = offset + bytes.length
    if (pieceEnd > this.#granted) {
      throw new TunnelError('FLOW_CONTROL', `sent up to ${pieceEnd}, granted ${this.#granted}`)
    }
    this.#checkFinal(pieceEnd, fin)
    if (fin) this.#finalOffset = pieceEnd
    if (pieceEnd > this.#highest) this.#highest = pieceEnd
    let arrival: Arrival = 'taken'
    if (offset > this.#received) arrival = this.#keepEarly(offset, bytes)
    else if (pieceEnd > this.#received) {
      this.#advance(pieceEnd === offset ? bytes : bytes.subarray(this.#received - offset), deliver)
      if (this.#early.length > 0) this.#deliverEarly(deliver)
      this.#tuner.received(this.#received, now)
    }
    if (this.#received === this.#finalOffset && !this.#finDelivered) {
      this.#finDelivered = true
      end()
    }
    return arrival
  }

  /** The application took `length` bytes more. */
  consume(length: number): void {
    this.#consumed += length
    if (this.#consumed > this.#received) {
      throw new TunnelError('INTERNAL', `${this.#consumed} consumed, ${this.#received} received`)
    }
  }

  /** Whether a CREDIT should go out: half the window was consumed, or the end was reached and not told yet. */
  get isCreditDue(): boolean {
    if (this.isDelivered) return !this.#finAnnounced
    return this.#finalOffset === -1 && this.#granted - this.#consumed <= this.#tuner.size / 2
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
    return { maxOffset: this.#granted, consumed: this.#consumed, fin: this.isDelivered }
  }

  /** The way to the sender may have lost a CREDIT: tell it again. */
  repeatGrant(): void {
    this.#finAnnounced = false
  }

  shrinkIfIdle(now: number): void {
    this.#tuner.shrinkIfIdle(now)
  }

  /** Drops what waits and gives the window back. */
  drop(): void {
    this.#early = []
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

  #advance(bytes: Uint8Array, deliver: (bytes: Uint8Array) => void): void {
    this.#received += bytes.length
    deliver(bytes)
  }

  #keepEarly(offset: number, bytes: Uint8Array): Arrival {
    if (bytes.length === 0) return 'early'
    if (this.#early.length >= MAX_EARLY_PIECES) return 'dropped'
    let at = this.#early.length
    while (at > 0 && (this.#early[at - 1] as EarlyPiece).offset > offset) at--
    // Repeated pieces of a lost path are common; overlapping ones are trimmed when they are delivered.
    const twin = this.#early[at - 1]
    if (twin?.offset === offset && twin.bytes.length >= bytes.length) return 'early'
    this.#early.splice(at, 0, { offset, bytes })
    return 'early'
  }

  #deliverEarly(deliver: (bytes: Uint8Array) => void): void {
    let count = 0
    for (const piece of this.#early) {
      if (piece.offset > this.#received) break
      count++
      const end = piece.offset + piece.bytes.length
      if (end > this.#received) this.#advance(piece.bytes.subarray(this.#received - piece.offset), deliver)
    }
    if (count > 0) this.#early.splice(0, count)
  }
}
