import { type ErrorCode, errorEntry, TunnelError, wireFromCode } from '../errors.ts'
import { encodeControl } from './encode.ts'
import type { ReceiveHalf } from './receive-half.ts'
import type { SendHalf } from './send-half.ts'
import type { Carried, StreamCarrier, StreamHandler } from './stream-handler.ts'
import { move, OPENING_MOVES, type OpeningState } from './stream-state.ts'

/** What a path belongs to. */
export interface PathOwner extends Carried {
  mayStripe: boolean
}

/**
 * How one end of a stream stands with the other (docs/protocol.md sections 4 and 6): OPEN and its answer, the session that
 * carries the stream now, the search for another, and what each of them makes the two ends say. Without a session nothing
 * is said.
 */
export class StreamPath {
  readonly #isOpener: boolean
  readonly #owner: PathOwner
  readonly #send: SendHalf
  readonly #receive: ReceiveHalf
  #opening: OpeningState = 'opening'
  #id: number
  /** Undefined while there is no path. */
  #carrier: StreamCarrier | undefined
  /** A new path was found, and the far end has not said yet from where to send again. */
  #awaitsResume = false
  /** The opener asked for a new path and has no answer yet. */
  #isReattaching = false
  /** True while the carrier remembers that a CREDIT is due. */
  #isCreditQueued = false
  /** Where the last early piece was dropped and asked for again; once for each place is enough. */
  #askedFrom = -1

  constructor(
    owner: PathOwner,
    first: { readonly id: number; readonly isOpener: boolean; readonly carrier: StreamCarrier },
    send: SendHalf,
    receive: ReceiveHalf,
  ) {
    this.#isOpener = first.isOpener
    this.#owner = owner
    this.#send = send
    this.#receive = receive
    this.#id = first.id
    this.#carrier = first.carrier
  }

  /** The number on the session that carries the stream now. */
  get id(): number {
    return this.#id
  }

  get isOpening(): boolean {
    return this.#opening === 'opening'
  }

  get isClosed(): boolean {
    return this.#opening === 'closed'
  }

  /** True while no session carries the stream. */
  get isDetached(): boolean {
    return this.#carrier === undefined && !this.isClosed
  }

  /** True from OPEN to its answer, also where OPEN asks for a new path. */
  get isUnanswered(): boolean {
    return !this.isClosed && this.#isOpener && (this.isOpening || this.#isReattaching)
  }

  /** True while DATA waits for the far end to say what it has. */
  get awaitsResume(): boolean {
    return this.#awaitsResume
  }

  /** Offset up to which the far end may send: what an OPEN, or its answer on a new path, says. */
  get grantedOffset(): number {
    return this.#receive.grantedOffset
  }

  // OPEN and its answer.

  /** Asks for the stream: `meta` is the CBOR of OPEN. */
  sendOpen(flags: number, meta: Uint8Array): void {
    this.#carrier?.control(
      encodeControl({
        type: 'OPEN',
        id: this.#id,
        flags,
        maxOffset: this.grantedOffset,
        priority: 0,
        hops: 0,
        meta,
        earlyData: NO_BYTES,
      }),
    )
  }

  /** Answers an OPEN of the far end: `meta` is the CBOR of OPEN_OK, at most 8,192 bytes. */
  accept(meta: Uint8Array, now: number): void {
    this.#opening = move(OPENING_MOVES, this.#opening, 'accept')
    this.#sendAnswer(this.#receive.grant(now).maxOffset, meta)
    // OPEN_OK grants, but cannot say that an end which came already was delivered.
    this.#receive.repeatEnd()
    if (this.#awaitsResume) this.#resumeHere()
  }

  /**
   * OPEN_OK came; the first one is passed on.
   * @throws {TunnelError} PROTOCOL where there was nothing to answer
   */
  answered(maxOffset: number, meta: Uint8Array, handler: Pick<StreamHandler, 'opened'>): void {
    if (!this.isUnanswered) throw new TunnelError('PROTOCOL', 'an OPEN_OK that nothing asked for')
    const isReattaching = this.#isReattaching
    this.#isReattaching = false
    this.#send.credit(maxOffset, 0)
    if (this.isOpening) {
      this.#opening = move(OPENING_MOVES, this.#opening, 'accept')
      handler.opened(meta)
    }
    if (isReattaching) this.#resumeHere()
    else this.tellStop()
  }

  /** The stream is over. */
  close(): void {
    this.#opening = move(OPENING_MOVES, this.#opening, 'close')
  }

  /** The carrier has no more to do with the stream. */
  remove(): void {
    this.#carrier?.remove(this.#owner)
  }

  // Loss, and the search for another.

  /** The path is gone, and the stream waits for another. */
  lost(): void {
    this.#forget()
    this.#isReattaching = false
    this.#awaitsResume = true
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
    // The opener speaks on another path, so on this one it listens no more.
    this.sendReset('REPLACED', 0, '')
    this.#forget()
    this.#id = id
    this.#carrier = carrier
    this.#awaitsResume = true
    this.#send.credit(sendLimit, 0)
    if (this.isOpening) return
    this.#sendAnswer(this.grantedOffset, meta)
    this.#resumeHere()
  }

  /** An OPEN with REATTACH brought this stream into being: data waits for what the opener has. */
  awaitResume(): void {
    this.#awaitsResume = true
  }

  /** The far end has said what it has; true where the stream waited for that. */
  resumed(): boolean {
    const waited = this.#awaitsResume
    this.#awaitsResume = false
    return waited
  }

  /** Whether a refusal is the answer "not now" to the search for a path, which leaves the stream as it was: without one. */
  isNotNow(code: ErrorCode): boolean {
    const { retryable, leg } = errorEntry(code)
    // That the target cannot be reached is an answer for good.
    return this.#isReattaching && retryable && leg !== 'agent-target'
  }

  #forget(): void {
    this.#carrier?.forget(this.#owner)
    this.#carrier = undefined
    this.#owner.isQueued = false
    this.#owner.mayStripe = false
    this.#isCreditQueued = false
  }

  /** Tells the far end what we have, and repeats what was perhaps said in vain on the path before. */
  #resumeHere(): void {
    this.#sendResume()
    this.tellStop()
    this.#receive.repeatCredit()
    this.offerCredit()
  }

  // What is said on it.

  /** The stream has data to send. */
  wake(): void {
    if (this.#owner.isReady) this.#carrier?.ready(this.#owner)
  }

  /** Has the carrier fetch a CREDIT, where one is due. */
  offerCredit(): void {
    if (this.#isCreditQueued || this.#carrier === undefined || !this.#receive.isCreditDue) return
    // Before the answer to OPEN the far end has its initial credit and no more; a relay that decides drops what comes.
    if (this.#isOpener ? this.#isReattaching : this.isOpening) return
    this.#isCreditQueued = true
    this.#carrier.creditDue(this.#owner)
  }

  /** The carrier fetches the CREDIT that it was offered. */
  creditFetched(): void {
    this.#isCreditQueued = false
  }

  sendCredit(now: number): void {
    this.#carrier?.control(encodeControl({ type: 'CREDIT', id: this.#id, ...this.#receive.grant(now) }))
  }

  /** Asks again for what did not arrive. */
  askAgain(): void {
    this.#askedFrom = this.#receive.received
    this.#sendResume()
    this.#receive.repeatEnd()
    this.offerCredit()
  }

  /** A piece was dropped: asks again for what comes before it, once. */
  askAgainOnce(): void {
    if (this.#askedFrom !== this.#receive.received) this.askAgain()
  }

  /** Before the answer to OPEN a relay that still decides would drop it. */
  tellStop(): void {
    const code = this.#receive.stopToTell
    if (code === undefined || this.isUnanswered) return
    this.#carrier?.control(encodeControl({ type: 'STOP', id: this.#id, code: wireFromCode(code) }))
  }

  sendReset(code: ErrorCode, consumed: number, detail: string): void {
    this.#carrier?.control(
      encodeControl({ type: 'RESET', id: this.#id, code: wireFromCode(code), consumed, detail }),
    )
  }

  /** This path is over, the stream is not. */
  sendLost(): void {
    this.#carrier?.control(encodeControl({ type: 'PATH_LOST', id: this.#id, fin: true }))
  }

  #sendAnswer(maxOffset: number, meta: Uint8Array): void {
    this.#carrier?.control(encodeControl({ type: 'OPEN_OK', id: this.#id, maxOffset, meta }))
  }

  #sendResume(): void {
    const { received } = this.#receive
    this.#carrier?.control(encodeControl({ type: 'RESUME', id: this.#id, received }))
  }
}

const NO_BYTES = new Uint8Array(0)
