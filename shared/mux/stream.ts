import { codeFromWire, type ErrorCode, errorEntry, TunnelError, wireFromCode } from '../errors.ts'
import { encodeControl } from './encode.ts'
import { FLAG, INITIAL_CREDIT, type StreamFrame } from './frame.ts'
import { ReceiveHalf } from './receive-half.ts'
import { type Piece, SourceActivity } from './scheduler.ts'
import { SendHalf } from './send-half.ts'
import type { Carried, StreamCarrier, StreamHandler } from './stream-handler.ts'
import {
  move,
  OPENING_MOVES,
  type OpeningState,
  RECEIVE_MOVES,
  type ReceiveState,
  SEND_MOVES,
  type SendState,
} from './stream-state.ts'
import { INITIAL_WINDOW, type WindowBudget } from './window.ts'

/** A stream that ended in one direction or both and moves nothing more is over after so many ms. */
export const HALF_CLOSED_IDLE_MS = 600_000

/**
 * One end of one conversation: two halves, a little state, no I/O (docs/protocol.md sections 4 to 6). It belongs to its
 * endpoint; the carrier beneath may change.
 */
export class Stream implements Carried {
  readonly isOpener: boolean
  readonly activity = new SourceActivity()
  /** Monotonic ms of the last byte either way, for the limit on idle half-closed streams. */
  lastActiveAt: number
  isQueued = false
  /** The far end consumed something that came on this path: OPEN and its answer have arrived at both ends. */
  mayStripe = false
  /** True while the carrier remembers that a CREDIT is due. */
  isCreditQueued = false
  /**
   * Called when the path is lost, instead of ending the stream: whoever sets it brings another path or loses the stream.
   * It must not attach within the call.
   */
  onPathLost: ((error: TunnelError) => void) | undefined
  /** Called when the far end has answered on a new path. */
  onPathFound: (() => void) | undefined
  /** Undefined while there is no path. */
  #carrier: StreamCarrier | undefined
  #id: number
  /** A new path was found, and the far end has not said yet from where to send again. */
  #awaitsResume = false
  /** The opener asked for a new path and has no answer yet. */
  #isReattaching = false
  readonly #handler: StreamHandler
  readonly #send: SendHalf
  readonly #receive: ReceiveHalf
  #opening: OpeningState = 'opening'
  #sending: SendState = 'sending'
  #receiving: ReceiveState = 'receiving'
  #wantsRoom = false
  /** Where the last early piece was dropped and asked for again; once for each place is enough. */
  #askedFrom = -1
  /** Why we read no more, once that is so: what the owner still holds counts as consumed already. */
  #stopCode: ErrorCode | undefined
  readonly #deliver: (bytes: Uint8Array) => void
  readonly #end: () => void

  constructor(options: {
    id: number
    isOpener: boolean
    carrier: StreamCarrier
    handler: StreamHandler
    budget: WindowBudget
    /** Offset the far end granted: of OPEN for an acceptor, the initial credit for an opener. */
    sendLimit: number
    now: number
  }) {
    this.#id = options.id
    this.isOpener = options.isOpener
    this.lastActiveAt = options.now
    this.#carrier = options.carrier
    this.#handler = options.handler
    this.#send = new SendHalf(options.sendLimit, options.budget)
    this.#receive = new ReceiveHalf(options.budget, options.isOpener ? INITIAL_WINDOW : INITIAL_CREDIT)
    this.#deliver = (bytes) => {
      if (this.#receiving === 'receiving') this.#handler.data(bytes)
      else this.#receive.consume(bytes.length)
    }
    this.#end = () => {
      const wasRead = this.#receiving === 'receiving'
      this.#receiving = move(RECEIVE_MOVES, this.#receiving, 'end')
      if (wasRead) this.#handler.ended()
    }
  }

  /** The number on the session that carries the stream now. */
  get id(): number {
    return this.#id
  }

  /** True while no session carries the stream. */
  get isDetached(): boolean {
    return this.#carrier === undefined && !this.isClosed
  }

  /** True from OPEN to its answer, also where OPEN asks for a new path. */
  get isUnanswered(): boolean {
    return !this.isClosed && this.isOpener && (this.isOpening || this.#isReattaching)
  }

  /** Offset up to which the far end may send: what an OPEN for a new path says. */
  get grantedOffset(): number {
    return this.#receive.grantedOffset
  }

  get isOpening(): boolean {
    return this.#opening === 'opening'
  }

  get isClosed(): boolean {
    return this.#opening === 'closed'
  }

  /** True while what is written goes out: neither ended, stopped nor over. */
  get isWriting(): boolean {
    return !this.isClosed && this.#sending === 'sending'
  }

  /** True from the end of the first direction to the acknowledged end of both. */
  get isEnding(): boolean {
    return !this.isClosed && (this.#sending !== 'sending' || this.#receiving !== 'receiving')
  }

  /** Bytes that may be written now; at or below 0 the owner stops reading its source until `writable`. */
  get room(): number {
    if (!this.isWriting) return 0
    const room = this.#send.room
    if (room <= 0) this.#wantsRoom = true
    return room
  }

  /** Bytes that the stream holds for the far end and for its own reader. */
  get heldBytes(): number {
    return this.#send.keptBytes + this.#receive.bufferedBytes
  }

  get bytesSent(): number {
    return this.#send.endOffset
  }

  get bytesReceived(): number {
    return this.#receive.received
  }

  /** Queues `bytes`; see SendHalf.write for who owns them. After the end or a STOP they are dropped. */
  write(bytes: Uint8Array, release?: () => void): void {
    if (!this.isWriting) {
      release?.()
      return
    }
    this.#send.write(bytes, release)
    this.#wake()
  }

  /** Ends our direction: FIN goes out behind the last byte. */
  end(): void {
    if (!this.isWriting) return
    this.#sending = move(SEND_MOVES, this.#sending, 'end')
    this.#send.end()
    this.#wake()
  }

  /** Answers an OPEN of the far end: `meta` is the CBOR of OPEN_OK, at most 8,192 bytes. Nothing where it gave up already. */
  accept(meta: Uint8Array, now: number): void {
    if (this.isClosed) return
    this.#opening = move(OPENING_MOVES, this.#opening, 'accept')
    const { maxOffset } = this.#receive.grant(now)
    this.#carrier?.control(encodeControl({ type: 'OPEN_OK', id: this.id, maxOffset, meta }))
    // OPEN_OK grants, but cannot say that an end which came already was delivered.
    this.#receive.repeatEnd()
    if (this.#awaitsResume) this.#resumeHere()
    this.#wake()
    this.#offerCredit()
  }

  /** The owner has passed `length` bytes on; the far end may send as many more. */
  consume(length: number): void {
    if (this.isClosed || this.#stopCode !== undefined) return
    this.#receive.consume(length)
    this.#offerCredit()
  }

  /** Ends both directions at once and tells the far end why. */
  reset(code: ErrorCode, detail = ''): void {
    if (this.isClosed) return
    this.#tellReset(code, detail)
    this.#close(code === 'OK' ? null : new TunnelError(code, detail))
  }

  /** Nobody reads any more: what came and was not consumed is dropped, and the far end is told unless it ended already. */
  stop(code: ErrorCode): void {
    if (this.isClosed || this.#stopCode !== undefined) return
    this.#stopCode = code
    if (this.#receiving === 'receiving') {
      this.#receiving = move(RECEIVE_MOVES, this.#receiving, 'stop')
      this.#tellStop()
    }
    this.#receive.consume(this.#receive.received - this.#receive.consumed)
    this.#offerCredit()
  }

  /** The path is gone: the stream waits for another where its owner wants that, else it ends without a word to the far end. */
  lose(error: TunnelError): void {
    if (this.isClosed) return
    const { onPathLost } = this
    if (onPathLost === undefined) {
      this.#close(error)
      return
    }
    this.#forgetPath()
    this.#isReattaching = false
    this.#awaitsResume = true
    onPathLost(error)
  }

  /** The path on which we asked for the far end does not answer: tells whoever may still be there, and loses it. */
  leavePath(error: TunnelError): void {
    this.#carrier?.control(encodeControl({ type: 'PATH_LOST', id: this.#id, fin: true }))
    this.lose(error)
  }

  /** No path comes in time or at all: ends the stream with `error`. */
  giveUp(error: TunnelError): void {
    if (this.isClosed) return
    // A path may have been asked for: the far end, which the answer may have reached, must not wait on it.
    this.#tellReset(error.code, '')
    this.#close(error)
  }

  /** Gives an opener's stream another path, on which its OPEN goes out with REATTACH; data waits for the answer. */
  reattach(id: number, carrier: StreamCarrier): void {
    this.#id = id
    this.#carrier = carrier
    this.#isReattaching = true
  }

  /**
   * Gives an acceptor's stream the path that an OPEN with REATTACH brought, and answers it. `sendLimit` is the grant of that
   * OPEN; the path before, if it still stands, is told that it is over.
   */
  adopt(id: number, carrier: StreamCarrier, sendLimit: number, meta: Uint8Array): void {
    if (this.#carrier !== undefined) this.#leaveReplaced()
    this.#id = id
    this.#carrier = carrier
    this.#awaitsResume = true
    this.#send.credit(sendLimit, 0)
    if (this.isOpening) return
    const maxOffset = this.#receive.grantedOffset
    carrier.control(encodeControl({ type: 'OPEN_OK', id, maxOffset, meta }))
    this.#resumeHere()
  }

  /** An OPEN with REATTACH brought this stream into being: data waits for what the opener has. */
  awaitResume(): void {
    this.#awaitsResume = true
  }

  /** The opener speaks on another path, so on this one it listens no more. */
  #leaveReplaced(): void {
    const code = wireFromCode('REPLACED')
    this.#carrier?.control(encodeControl({ type: 'RESET', id: this.#id, code, consumed: 0, detail: '' }))
    this.#forgetPath()
  }

  #forgetPath(): void {
    this.#carrier?.forget(this)
    this.#carrier = undefined
    this.isQueued = false
    this.isCreditQueued = false
    this.mayStripe = false
  }

  /** Tells the far end what we have, and repeats what was perhaps said in vain on the path before. */
  #resumeHere(): void {
    this.#carrier?.control(encodeControl({ type: 'RESUME', id: this.#id, received: this.#receive.received }))
    this.#tellStop()
    this.#receive.repeatCredit()
    this.#offerCredit()
  }

  /** Before the answer to OPEN a relay that still decides would drop it. */
  #tellStop(): void {
    if (this.#receiving !== 'discarding' || this.#stopCode === undefined || this.isUnanswered) return
    const code = wireFromCode(this.#stopCode)
    this.#carrier?.control(encodeControl({ type: 'STOP', id: this.#id, code }))
  }

  #tellReset(code: ErrorCode, detail: string): void {
    const { consumed } = this.#receive
    this.#carrier?.control(
      encodeControl({ type: 'RESET', id: this.#id, code: wireFromCode(code), consumed, detail }),
    )
  }

  // The carrier's side.

  sweep(now: number): void {
    this.#receive.shrinkIfIdle(now)
    if (this.isEnding && now - this.lastActiveAt >= HALF_CLOSED_IDLE_MS) this.reset('IDLE')
  }

  get isReady(): boolean {
    return !this.#awaitsResume && !this.isClosed && this.#send.isReady
  }

  next(max: number, now: number): Piece | undefined {
    this.lastActiveAt = now
    const piece = this.#send.take(max)
    if (piece === undefined) return undefined
    return { id: this.id, flags: piece.fin ? FLAG.FIN : 0, offset: piece.offset, bytes: piece.bytes }
  }

  /** Called when a turn of the scheduler has sent something of this stream. */
  sent(): void {
    this.#offerRoom()
  }

  takeCredit(now: number): Uint8Array | undefined {
    this.isCreditQueued = false
    if (this.isClosed || !this.#receive.isCreditDue) return undefined
    const grant = this.#receive.grant(now)
    const bytes = encodeControl({ type: 'CREDIT', id: this.id, ...grant })
    if (grant.fin && this.#receiving === 'ended') {
      this.#receiving = move(RECEIVE_MOVES, this.#receiving, 'deliver')
      this.#closeIfDone()
    }
    return bytes
  }

  /** A piece of DATA came. @throws {TunnelError} FLOW_CONTROL or PROTOCOL, for which the carrier resets the stream */
  receiveData(offset: number, bytes: Uint8Array, flags: number, now: number): void {
    this.lastActiveAt = now
    const fin = (flags & FLAG.FIN) !== 0
    const arrival = this.#receive.accept({ offset, bytes, fin }, now, this.#deliver, this.#end)
    if (arrival === 'dropped' && this.#askedFrom !== this.#receive.received) this.#askAgain()
    if (!this.isClosed) this.#offerCredit()
  }

  /** A control frame of this stream came. @throws {TunnelError} PROTOCOL or FLOW_CONTROL */
  receiveControl(frame: StreamFrame, now: number): void {
    this.lastActiveAt = now
    switch (frame.type) {
      case 'OPEN_OK':
        this.#onAnswer(frame.maxOffset, frame.meta)
        return
      case 'CREDIT':
        this.#send.credit(frame.maxOffset, frame.consumed)
        if (frame.consumed > 0 && !this.isUnanswered) this.mayStripe = true
        if (frame.fin && this.#sending === 'ended' && frame.consumed === this.#send.endOffset) {
          this.#sending = move(SEND_MOVES, this.#sending, 'acknowledge')
          this.#closeIfDone()
        }
        this.#wake()
        this.#offerRoom()
        return
      case 'RESET':
        this.#onReset(frame.code, frame.detail)
        return
      case 'STOP':
        this.#stopped(codeFromWire(frame.code))
        return
      case 'RESUME':
        this.#send.resume(frame.received)
        if (this.#awaitsResume) {
          this.#awaitsResume = false
          this.onPathFound?.()
        }
        this.#wake()
        this.#offerRoom()
        return
      case 'PATH_LOST':
        if (frame.fin) this.lose(new TunnelError('SESSION_LOST', 'the relay lost the other side of the path'))
        else this.#askAgain()
        return
    }
  }

  /** OPEN_OK. @throws {TunnelError} PROTOCOL where there was nothing to answer */
  #onAnswer(maxOffset: number, meta: Uint8Array): void {
    if (!this.isUnanswered) throw new TunnelError('PROTOCOL', 'an OPEN_OK that nothing asked for')
    const isReattaching = this.#isReattaching
    this.#isReattaching = false
    this.#send.credit(maxOffset, 0)
    if (this.isOpening) {
      this.#opening = move(OPENING_MOVES, this.#opening, 'accept')
      this.#handler.opened(meta)
    }
    if (isReattaching) this.#resumeHere()
    else this.#tellStop()
    this.#wake()
    this.#offerRoom()
  }

  #onReset(code: number, detail: string): void {
    const error = code === 0 ? null : new TunnelError(codeFromWire(code), detail)
    // The answer "not now" to the search for a path leaves the stream as it was: without one.
    if (this.#isReattaching && error !== null && isNotNow(error.code)) this.lose(error)
    else this.#close(error)
  }

  #stopped(code: ErrorCode): void {
    if (this.#sending !== 'sending') return
    this.#sending = move(SEND_MOVES, this.#sending, 'end')
    this.#send.cut()
    this.#wake()
    this.#handler.stopped(code)
  }

  #askAgain(): void {
    this.#askedFrom = this.#receive.received
    this.#carrier?.control(encodeControl({ type: 'RESUME', id: this.id, received: this.#receive.received }))
    this.#receive.repeatEnd()
    this.#offerCredit()
  }

  #wake(): void {
    if (this.isReady) this.#carrier?.ready(this)
  }

  #offerRoom(): void {
    if (!this.#wantsRoom || !this.isWriting || this.#send.room <= 0) return
    this.#wantsRoom = false
    this.#handler.writable()
  }

  #offerCredit(): void {
    if (this.isCreditQueued || this.#carrier === undefined || !this.#receive.isCreditDue) return
    // Before the answer to OPEN the far end has its initial credit and no more; a relay that decides drops what comes.
    if (this.isOpener ? this.#isReattaching : this.isOpening) return
    this.isCreditQueued = true
    this.#carrier.creditDue(this)
  }

  #closeIfDone(): void {
    if (this.#sending !== 'done' || this.#receiving !== 'done') return
    // On a new path the far end, or the relay, may not have heard yet that all has arrived here.
    if (this.#receive.isCreditDue) {
      const grant = this.#receive.grant(this.lastActiveAt)
      this.#carrier?.control(encodeControl({ type: 'CREDIT', id: this.id, ...grant }))
    }
    this.#close(null)
  }

  #close(error: TunnelError | null): void {
    if (this.isClosed) return
    this.#opening = move(OPENING_MOVES, this.#opening, 'close')
    this.#send.drop()
    this.#receive.drop()
    this.#carrier?.remove(this)
    this.#handler.closed(error)
  }
}

/** Whether a search for a path goes on after this answer. That the target cannot be reached is an answer for good. */
function isNotNow(code: ErrorCode): boolean {
  const { retryable, leg } = errorEntry(code)
  return retryable && leg !== 'agent-target'
}
