import { codeFromWire, type ErrorCode, TunnelError } from '../errors.ts'
import { Activity } from './activity.ts'
import { encodeControl } from './encode.ts'
import { FLAG, INITIAL_CREDIT, type StreamFrame } from './frame.ts'
import { ReceiveHalf } from './receive-half.ts'
import type { Piece } from './scheduler.ts'
import { SendHalf } from './send-half.ts'
import type { Carried, StreamCarrier, StreamHandler } from './stream-handler.ts'
import { StreamPath } from './stream-path.ts'
import { INITIAL_WINDOW, type WindowBudget } from './window.ts'

/** A stream that ended in one direction or both and moves nothing more is over after so many ms. */
const HALF_CLOSED_IDLE_MS = 600_000

/**
 * One end of one conversation: two halves, a little state, no I/O (docs/protocol.md sections 4 to 6). It belongs to its
 * endpoint; the carrier beneath may change.
 */
export class Stream implements Carried {
  readonly path: StreamPath
  readonly activity = new Activity()
  /** Monotonic ms of the last byte either way, for the limit on idle half-closed streams. */
  lastActiveAt: number
  isQueued = false
  /** The far end consumed something that came on this path: OPEN and its answer have arrived at both ends. */
  mayStripe = false
  /**
   * Called when the path is lost, instead of ending the stream: whoever sets it brings another path or loses the stream.
   * It must not attach within the call.
   */
  onPathLost: ((error: TunnelError) => void) | undefined
  /** Called when the far end has answered on a new path. */
  onPathFound: (() => void) | undefined
  /** The relay says which agent the OPEN of this stream goes to. */
  onRouted: ((agent: string) => void) | undefined
  readonly #handler: StreamHandler
  readonly #send: SendHalf
  readonly #receive: ReceiveHalf
  #wantsRoom = false

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
    this.lastActiveAt = options.now
    this.#handler = options.handler
    this.#send = new SendHalf(options.sendLimit, options.budget)
    const granted = options.isOpener ? INITIAL_WINDOW : INITIAL_CREDIT
    this.#receive = new ReceiveHalf(options.budget, granted, options.handler)
    this.path = new StreamPath(this, options, this.#send, this.#receive)
  }

  /** The number on the session that carries the stream now. */
  get id(): number {
    return this.path.id
  }

  /** True while no session carries the stream. */
  get isDetached(): boolean {
    return this.path.isDetached
  }

  get isOpening(): boolean {
    return this.path.isOpening
  }

  get isClosed(): boolean {
    return this.path.isClosed
  }

  /** True while what is written goes out: neither ended, stopped nor over. */
  get isWriting(): boolean {
    return !this.isClosed && this.#send.isSending
  }

  /** True from the end of the first direction to the acknowledged end of both. */
  get isEnding(): boolean {
    return !this.isClosed && !(this.#send.isSending && this.#receive.isReceiving)
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
    this.path.wake()
  }

  /** Ends our direction: FIN goes out behind the last byte. */
  end(): void {
    if (!this.isWriting) return
    this.#send.end()
    this.path.wake()
  }

  /** Answers an OPEN of the far end: `meta` is the CBOR of OPEN_OK, at most 8,192 bytes. Nothing where it gave up already. */
  accept(meta: Uint8Array, now: number): void {
    if (this.isClosed) return
    this.path.accept(meta, now)
    this.path.wake()
    this.path.offerCredit()
  }

  /** The owner has passed `length` bytes on; the far end may send as many more. */
  consume(length: number): void {
    if (this.isClosed) return
    this.#receive.consume(length)
    this.path.offerCredit()
  }

  /** Ends both directions at once and tells the far end why. */
  reset(code: ErrorCode, detail = ''): void {
    if (this.isClosed) return
    this.path.sendReset(code, this.#receive.consumed, detail)
    this.#close(code === 'OK' ? null : new TunnelError(code, detail))
  }

  /** Nobody reads any more: what came and was not consumed is dropped, and the far end is told unless it ended already. */
  stop(code: ErrorCode): void {
    if (this.isClosed || !this.#receive.stop(code)) return
    this.path.tellStop()
    this.path.offerCredit()
  }

  /** The path is gone: the stream waits for another where its owner wants that, else it ends without a word to the far end. */
  lose(error: TunnelError): void {
    if (this.isClosed) return
    const { onPathLost } = this
    if (onPathLost === undefined) {
      this.#close(error)
      return
    }
    this.path.lost()
    onPathLost(error)
  }

  /** The path on which we asked for the far end does not answer: tells whoever may still be there, and loses it. */
  leavePath(error: TunnelError): void {
    this.path.sendLost()
    this.lose(error)
  }

  /** No path comes in time or at all: ends the stream with `error`. */
  giveUp(error: TunnelError): void {
    if (this.isClosed) return
    // A path may have been asked for: the far end, which the answer may have reached, must not wait on it.
    this.path.sendReset(error.code, this.#receive.consumed, '')
    this.#close(error)
  }

  // The carrier's side.

  sweep(now: number): void {
    this.#receive.shrinkIfIdle(now)
    if (this.isEnding && now - this.lastActiveAt >= HALF_CLOSED_IDLE_MS) this.reset('IDLE')
  }

  get isReady(): boolean {
    return !this.path.awaitsResume && !this.isClosed && this.#send.isReady
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
    this.path.creditFetched()
    if (this.isClosed || !this.#receive.isCreditDue) return undefined
    const grant = this.#receive.grant(now)
    const bytes = encodeControl({ type: 'CREDIT', id: this.id, ...grant })
    if (grant.fin) {
      this.#receive.told()
      this.#closeIfDone()
    }
    return bytes
  }

  /** A piece of DATA came. @throws {TunnelError} FLOW_CONTROL or PROTOCOL, for which the carrier resets the stream */
  receiveData(offset: number, bytes: Uint8Array, flags: number, now: number): void {
    this.lastActiveAt = now
    const fin = (flags & FLAG.FIN) !== 0
    const arrival = this.#receive.accept(offset, bytes, fin, now)
    if (arrival === 'dropped') this.path.askAgainOnce()
    if (!this.isClosed) this.path.offerCredit()
  }

  /** A control frame of this stream came. @throws {TunnelError} PROTOCOL or FLOW_CONTROL */
  receiveControl(frame: StreamFrame, now: number): void {
    this.lastActiveAt = now
    switch (frame.type) {
      case 'OPEN_OK':
        this.path.answered(frame.maxOffset, frame.meta, this.#handler)
        this.path.wake()
        this.#offerRoom()
        return
      case 'CREDIT':
        this.#send.credit(frame.maxOffset, frame.consumed, frame.fin)
        if (frame.consumed > 0 && !this.path.isUnanswered) this.mayStripe = true
        if (frame.fin) this.#closeIfDone()
        this.path.wake()
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
        if (this.path.resumed()) this.onPathFound?.()
        this.path.wake()
        this.#offerRoom()
        return
      case 'ROUTED':
        this.onRouted?.(frame.agent)
        return
      case 'PATH_LOST':
        if (frame.fin) this.lose(new TunnelError('SESSION_LOST', 'the relay lost the other side of the path'))
        else this.path.askAgain()
        return
    }
  }

  #onReset(code: number, detail: string): void {
    const error = code === 0 ? null : new TunnelError(codeFromWire(code), detail)
    if (error !== null && this.path.isNotNow(error.code)) this.lose(error)
    else this.#close(error)
  }

  #stopped(code: ErrorCode): void {
    if (!this.#send.isSending) return
    this.#send.cut()
    this.path.wake()
    this.#handler.stopped(code)
  }

  #offerRoom(): void {
    if (!this.#wantsRoom || !this.isWriting || this.#send.room <= 0) return
    this.#wantsRoom = false
    this.#handler.writable()
  }

  #closeIfDone(): void {
    if (!this.#send.isDone || !this.#receive.isDone) return
    // On a new path the far end, or the relay, may not have heard yet that all has arrived here.
    if (this.#receive.isCreditDue) this.path.sendCredit(this.lastActiveAt)
    this.#close(null)
  }

  #close(error: TunnelError | null): void {
    if (this.isClosed) return
    this.path.close()
    this.#send.drop()
    this.#receive.drop()
    this.path.remove()
    this.#handler.closed(error)
  }
}
