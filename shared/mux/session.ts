import { type ErrorCode, TunnelError } from '../errors.ts'
import type { Attention } from './attention.ts'
import { CreditQueue } from './credit-queue.ts'
import { encodeControl } from './encode.ts'
import { type ControlFrame, FLAG, INITIAL_CREDIT } from './frame.ts'
import type { FurtherLink, FurtherLinkShell } from './further-link.ts'
import { type FrameSink, Link } from './link.ts'
import { Links } from './links.ts'
import { Openings } from './openings.ts'
import type { DataSource } from './scheduler.ts'
import {
  isReattach,
  type OpenFrame,
  type SessionHandler,
  type SessionOptions,
  type StreamEntry,
} from './session-handler.ts'
import { SESSION_LIMITS } from './session-limits.ts'
import { isLinkFrame, SessionTalk } from './session-talk.ts'
import { Stream } from './stream.ts'
import type { Carried, CreditSource, StreamCarrier, StreamHandler } from './stream-handler.ts'
import { StreamTable } from './stream-table.ts'
import type { WindowBudget } from './window.ts'

/** Ends of a session after which its streams must not come back. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['REVOKED', 'EXPIRED', 'CANCELLED'])

/**
 * Both parties' streams over one link (docs/protocol.md sections 2 to 8): who may open what, where each frame goes, and
 * what happens to all of them when the link is lost. No I/O.
 */
export class Session implements StreamCarrier {
  readonly link: Link
  /** Bytes that wait here in the queues of the relay's routes; the routes count them. */
  queuedBytes = 0
  readonly #handler: SessionHandler
  readonly #budget: WindowBudget
  readonly #talk: SessionTalk
  readonly #table: StreamTable
  readonly #creditDue = new CreditQueue()
  readonly #openings = new Openings()
  readonly #links: Links = new Links({
    first: () => this.link,
    data: (id, flags, offset, bytes, now) => {
      this.#now = now
      this.#onData(id, flags, offset, bytes)
    },
    lost: (carried) => {
      this.#table.askAgain(carried)
      // The others take over what waits.
      this.#handler.wake()
      this.#links.wake()
    },
    wanted: (count) => this.#talk.wantLinks(count),
  })
  #closedWith: TunnelError | undefined
  #now: number

  constructor(options: SessionOptions) {
    this.#handler = options.handler
    this.#budget = options.budget
    this.#table = new StreamTable(options, this)
    this.#now = options.now
    this.attention = options.attention ?? this.attention
    this.link = new Link({
      handler: {
        data: (id, flags, offset, bytes) => this.#onData(id, flags, offset, bytes),
        control: (frame) => this.#onControl(frame),
        wake: () => this.#handler.wake(),
        collect: (now) => this.#creditDue.collect(now, this.link),
      },
      queue: this.#links.scheduler,
      pingIntervalMs: options.pingIntervalMs,
      now: options.now,
    })
    this.#talk = new SessionTalk(options, this.link, this.#links)
  }

  get streamCount(): number {
    return this.#table.size
  }

  get isClosed(): boolean {
    return this.#closedWith !== undefined
  }

  /** True while we may open streams here. A GOAWAY of our own keeps only the peer from it. */
  get isOpen(): boolean {
    return this.#talk.isGreeted && !this.#talk.peerDrains && !this.isClosed
  }

  /** What is known of small requests and answers on the way to this peer; sessions with the same one share it. */
  get attention(): Attention {
    return this.#links.scheduler.attention
  }

  set attention(attention: Attention) {
    this.#links.scheduler.attention = attention
  }

  /** Links there are now, 1 to 16. */
  get linkCount(): number {
    return this.#links.count
  }

  /** True where the ids will run out: the owner should make a new session. */
  get wantsRoll(): boolean {
    return this.#table.ids.areShort
  }

  /** Takes bytes of a WebSocket message. @throws {TunnelError} which ends the session; call `close` with it */
  receive(chunk: Uint8Array, now: number): void {
    if (this.isClosed) return
    this.#now = now
    this.link.receive(chunk, now)
  }

  endMessage(): void {
    if (!this.isClosed) this.link.endMessage()
  }

  transmit(maxBytes: number, now: number, sink: FrameSink): number {
    if (this.isClosed) return 0
    this.#now = now
    this.#openings.time(now)
    const bytes = this.link.transmit(maxBytes, now, sink)
    this.#links.transmitted(now)
    return bytes
  }

  get hasWork(): boolean {
    return !this.isClosed && (this.link.hasWork || !this.#creditDue.isEmpty)
  }

  /** Monotonic ms of the next `tick`. */
  get deadline(): number {
    return Math.min(this.link.deadline, this.#table.deadline, this.#openings.deadline, this.#links.deadline)
  }

  /** Time has passed. @throws {TunnelError} SESSION_LOST where the peer is dead */
  tick(now: number): void {
    if (this.isClosed) return
    this.#now = now
    this.link.tick(now)
    this.#links.tick(now)
    this.#openings.time(now)
    this.#openings.expire(now)
    this.#table.sweep(now)
  }

  /** Sends HELLO (agent, connector) or HELLO_OK (relay). */
  greet(type: 'HELLO' | 'HELLO_OK', meta: Uint8Array): void {
    this.#talk.greet(type, meta)
  }

  /**
   * Opens a stream; `meta` is the CBOR of OPEN. Bytes may be written at once.
   * @throws {TunnelError} DRAINING, OVERLOADED or SESSION_LOST, all before anything was sent
   */
  open(meta: Uint8Array, handler: StreamHandler, isResumable = false): Stream {
    this.#openings.checkRoom()
    const stream = this.#createStream(this.takeId(), true, INITIAL_CREDIT, handler)
    this.#sendOpen(stream, isResumable ? FLAG.RESUMABLE : 0, meta)
    return stream
  }

  /**
   * Looks for a new path for a stream that lost its own; `meta` is the CBOR of OPEN.
   * @throws {TunnelError} DRAINING, OVERLOADED or SESSION_LOST, all before anything was sent
   */
  reopen(stream: Stream, meta: Uint8Array): void {
    this.#openings.checkRoom()
    stream.path.reattach(this.takeId(), this)
    this.#sendOpen(stream, FLAG.RESUMABLE | FLAG.REATTACH, meta)
  }

  #sendOpen(stream: Stream, flags: number, meta: Uint8Array): void {
    this.#table.set(stream.id, stream)
    this.#openings.add(stream)
    stream.path.sendOpen(flags, meta)
  }

  #createStream(id: number, isOpener: boolean, sendLimit: number, handler: StreamHandler): Stream {
    const budget = this.#budget
    return new Stream({ id, isOpener, sendLimit, handler, carrier: this, budget, now: this.#now })
  }

  /** The id for a stream that we open here. @throws {TunnelError} DRAINING, OVERLOADED or SESSION_LOST */
  takeId(): number {
    if (this.isClosed) throw new TunnelError('SESSION_LOST')
    if (!this.isOpen) throw new TunnelError('DRAINING')
    if (this.link.controlBytes > SESSION_LIMITS.controlBytesAtOpen) {
      throw new TunnelError('OVERLOADED', 'the peer reads too slowly')
    }
    return this.#table.takeId()
  }

  /** Puts a route behind an id that `takeId` gave, or that an OPEN brought. */
  place(id: number, entry: StreamEntry): void {
    this.#table.set(id, entry)
  }

  /** Makes the endpoint's stream for an OPEN of the peer, inside `opening`. */
  admit(frame: OpenFrame, handler: StreamHandler): Stream {
    const stream = this.#createStream(frame.id, false, frame.maxOffset, handler)
    this.#table.set(frame.id, stream)
    if (isReattach(frame)) stream.path.awaitResume()
    return stream
  }

  /** Puts an endpoint's stream behind the id of an OPEN with REATTACH, inside `opening`, and answers. */
  adopt(frame: OpenFrame, stream: Stream, meta: Uint8Array): void {
    this.#table.set(frame.id, stream)
    stream.path.adopt(frame.id, this, frame.maxOffset, meta)
  }

  /** Tells the peer to open nothing more here and to bring a replacement; streams go on. */
  goAway(code: ErrorCode, drainMs: number, retryAfterMs = 0): void {
    if (this.isClosed) return
    this.#talk.goAway({ code, lastId: this.#table.ids.lastOfPeer, drainMs, retryAfterMs })
  }

  /**
   * Adds a link, whose WebSocket `shell` runs; its ends have proved that they are those of the session.
   * @throws {TunnelError} SESSION_LOST, or OVERLOADED where there are 16
   */
  join(shell: FurtherLinkShell, now: number): FurtherLink {
    if (this.isClosed || !this.#talk.isGreeted) throw new TunnelError('SESSION_LOST')
    return this.#links.join(shell, this.link.pingIntervalMs, now)
  }

  /** Tells the peer something that it may ignore; `meta` is CBOR, at most 8,192 bytes, and the peer counts them (section 10). */
  sendNotice(meta: Uint8Array): void {
    this.control(encodeControl({ type: 'NOTICE', id: 0, meta }))
  }

  /** Resets every stream of ours; for an end that is for good. */
  resetAll(code: ErrorCode, detail = ''): void {
    this.#table.resetAll(code, detail)
  }

  /** Ends everything: each stream is lost with `error`. Nothing is sent. */
  close(error: TunnelError): void {
    if (this.isClosed) return
    this.#closedWith = error
    const isFinal = FINAL.has(error.code)
    const lost = new TunnelError(isFinal ? error.code : 'SESSION_LOST', error.detail, { cause: error })
    this.#table.lose(lost, isFinal)
    this.#openings.clear()
    this.#links.end(error)
  }

  // What streams and routes need.

  control(bytes: Uint8Array): void {
    if (!this.isClosed) this.link.send(bytes)
  }

  ready(source: DataSource): void {
    if (this.isClosed) return
    this.#links.scheduler.add(source, this.#now)
    this.#handler.wake()
    this.#links.wake()
  }

  creditDue(source: CreditSource): void {
    this.#creditDue.add(source)
    this.#handler.wake()
  }

  remove(entry: { readonly id: number }): void {
    this.#table.delete(entry.id)
    this.#openings.delete(entry.id)
  }

  forget(stream: Carried): void {
    this.remove(stream)
    if (stream.isQueued) this.#links.scheduler.remove(stream)
    this.#creditDue.remove(stream)
  }

  #onData(id: number, flags: number, offset: number, bytes: Uint8Array): void {
    if (this.isClosed) return
    this.#table.data(id, flags, offset, bytes, this.#now)
  }

  #onControl(frame: ControlFrame): void {
    // A frame before it in the same chunk may have ended the session.
    if (this.isClosed) return
    if (isLinkFrame(frame)) {
      this.#talk.receive(frame, this.#now)
      return
    }
    this.#talk.checkGreeted(frame)
    if (frame.type === 'OPEN_OK') this.#openings.delete(frame.id)
    if (frame.type === 'OPEN') this.#table.open(frame, this.#talk.isDraining, this.#now)
    else this.#table.control(frame, this.#now)
  }
}
