import { TunnelError } from '../../shared/errors.ts'
import { INITIAL_CREDIT, type StreamFrame } from '../../shared/mux/frame.ts'
import { FrameReader } from '../../shared/mux/frame-reader.ts'
import type { DataSource, Piece } from '../../shared/mux/scheduler.ts'
import { Stream } from '../../shared/mux/stream.ts'
import type { CreditSource, StreamCarrier, StreamHandler } from '../../shared/mux/stream-handler.ts'
import { createWindowBudget, INITIAL_WINDOW } from '../../shared/mux/window.ts'

const MAX_PIECE_BYTES = 1_000

/** One end of a stream on a carrier that keeps no order: what it sends lies about until it is fetched, in any order. */
export class LossyEnd implements StreamCarrier {
  readonly stream: Stream
  readonly budget = createWindowBudget(1 << 30)
  /** DATA that left and has not arrived. */
  readonly pieces: Piece[] = []
  /** Control frames that left and have not arrived. */
  readonly frames: StreamFrame[] = []
  isRemoved = false
  #isReady = false
  #credit: CreditSource | undefined
  readonly #reader = new FrameReader({
    data: () => {
      throw new TunnelError('INTERNAL', 'DATA among control frames')
    },
    control: (frame) => this.frames.push(frame as StreamFrame),
  })

  constructor(isOpener: boolean, handler: StreamHandler) {
    this.stream = new Stream({
      id: 1,
      isOpener,
      carrier: this,
      handler,
      budget: this.budget,
      sendLimit: isOpener ? INITIAL_CREDIT : INITIAL_WINDOW,
      now: 0,
    })
  }

  control(bytes: Uint8Array): void {
    this.#reader.push(bytes)
  }

  ready(_source: DataSource): void {
    this.#isReady = true
  }

  creditDue(source: CreditSource): void {
    this.#credit = source
  }

  remove(): void {
    this.isRemoved = true
  }

  forget(): void {
    this.isRemoved = true
  }

  /** Lets the stream send one piece of at most `max` bytes, and the CREDIT that it owes. False where there was neither. */
  send(max: number, now: number): boolean {
    const credit = this.#credit
    this.#credit = undefined
    const bytes = credit?.takeCredit(now)
    if (bytes !== undefined) this.control(bytes)
    if (!this.#isReady) return bytes !== undefined
    const piece = this.stream.next(Math.min(max, MAX_PIECE_BYTES), now)
    if (piece === undefined) this.#isReady = false
    else {
      // A socket copies; the memory of the stream may be used again once it is released.
      this.pieces.push({ ...piece, bytes: piece.bytes.slice() })
      this.stream.sent()
    }
    return bytes !== undefined || piece !== undefined
  }

  /** Takes a piece from the other end; a stream that is over ignores it, as a session does. */
  receivePiece(piece: Piece, now: number): void {
    if (!this.isRemoved) this.stream.receiveData(piece.offset, piece.bytes.slice(), piece.flags, now)
  }

  receiveFrame(frame: StreamFrame, now: number): void {
    if (!this.isRemoved) this.stream.receiveControl(frame, now)
  }
}
