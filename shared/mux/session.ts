import { type ErrorCode, TunnelError, wireFromCode } from '../errors.ts'
import { encodeControl } from './encode.ts'
import { type ControlFrame, FLAG, INITIAL_CREDIT } from './frame.ts'
import type { FurtherLink, FurtherLinkShell } from './further-link.ts'
import { type FrameSink, Link } from './link.ts'
import { Links } from './links.ts'
import { Openings } from './openings.ts'
import type { DataSource } from './scheduler.ts'
import { isReattach, type OpenFrame, type SessionHandler, type StreamEntry } from './session-handler.ts'
import { SESSION_LIMITS } from './session-limits.ts'
import { Stream } from './stream.ts'
import type { Carried, CreditSource, StreamCarrier, StreamHandler } from './stream-handler.ts'
import { StreamTable } from './stream-table.ts'
import { TokenBucket } from './token-bucket.ts'
import type { WindowBudget } from './window.ts'

const SWEEP_MS = 10_000

/** Ends of a session after which its streams must not come back. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['REVOKED', 'EXPIRED', 'CANCELLED'])

export interface SessionOptions {
  /** The relay opens even ids, agent and connector odd ones. */
  readonly role: 'relay' | 'peer'
  readonly handler: SessionHandler
  readonly budget: WindowBudget
  readonly pingIntervalMs: number
  readonly now: number
  /** First id to open, for tests of the wrap. */
  readonly firstId?: number
}

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
  readonly #isRelay: boolean
  readonly #table: StreamTable
  readonly #creditDue: CreditSource[] = []
  readonly #opens: TokenBucket
  readonly #notices = new TokenBucket(SESSION_LIMITS.noticesPerSecond, SESSION_LIMITS.noticeBurst)
  readonly #openings = new Openings((id, stream) => this.#table.get(id) === stream)
  readonly #links: Links = new Links({
    first: () => this.link,
    data: (id, flags, offset, bytes, now) => this.#onFurtherData(id, flags, offset, bytes, now),
    lost: (carried) => this.#onLinkLost(carried),
    wanted: (count) => this.#onLinksWanted(count),
  })
  #isGreeted = false
  #hasPeerGreeted = false
  #isDraining = false
  #peerDrains = false
  #closedWith: TunnelError | undefined
  #now: number
  #sweepAt: number

  constructor(options: SessionOptions) {
    this.#handler = options.handler
    this.#budget = options.budget
    this.#isRelay = options.role === 'relay'
    // A relay's session with an agent carries many connectors, each of which the relay has held to these limits.
    const share = this.#isRelay ? 1 : SESSION_LIMITS.relayShare
    this.#opens = new TokenBucket(
      SESSION_LIMITS.opensPerSecond * share,
      SESSION_LIMITS.opensPerSecond * share,
    )
    this.#table = new StreamTable(options.role, share, options.firstId)
    this.#now = options.now
    this.#sweepAt = options.now + SWEEP_MS
    this.link = new Link({
      handler: {
        data: (id, flags, offset, bytes) => this.#onData(id, flags, offset, bytes),
        control: (frame) => this.#onControl(frame),
        wake: () => this.#handler.wake(),
        collect: (now) => this.#collectCredits(now),
      },
      queue: this.#links.scheduler,
      pingIntervalMs: options.pingIntervalMs,
      now: options.now,
    })
  }

  get streamCount(): number {
    return this.#table.size
  }

  get isClosed(): boolean {
    return this.#closedWith !== undefined
  }

  /** True while we may open streams here. A GOAWAY of our own keeps only the peer from it. */
  get isOpen(): boolean {
    return this.#isGreeted && !this.#peerDrains && !this.isClosed
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
    return !this.isClosed && (this.link.hasWork || this.#creditDue.length > 0)
  }

  /** Monotonic ms of the next `tick`. */
  get deadline(): number {
    return Math.min(this.link.deadline, this.#sweepAt, this.#openings.deadline, this.#links.deadline)
  }

  /** Time has passed. @throws {TunnelError} SESSION_LOST where the peer is dead */
  tick(now: number): void {
    if (this.isClosed) return
    this.#now = now
    this.link.tick(now)
    this.#links.tick(now)
    this.#openings.time(now)
    this.#openings.expire(now)
    if (now >= this.#sweepAt) {
      this.#sweepAt = now + SWEEP_MS
      this.#table.sweep(now)
    }
  }

  /** Sends HELLO (agent, connector) or HELLO_OK (relay). */
  greet(type: 'HELLO' | 'HELLO_OK', meta: Uint8Array): void {
    // Nothing may overtake it, not even a GOAWAY of the same turn.
    this.link.sendUrgent(encodeControl({ type, id: 0, meta }))
    if (type === 'HELLO_OK') this.#isGreeted = true
  }

  /**
   * Opens a stream; `meta` is the CBOR of OPEN. Bytes may be written at once.
   * @throws {TunnelError} DRAINING, OVERLOADED or SESSION_LOST, all before anything was sent
   */
  open(meta: Uint8Array, handler: StreamHandler, isResumable = false): Stream {
    const id = this.#takeOpeningId()
    const stream = new Stream({
      id,
      isOpener: true,
      carrier: this,
      handler,
      budget: this.#budget,
      sendLimit: INITIAL_CREDIT,
      now: this.#now,
    })
    this.#sendOpen(stream, isResumable ? FLAG.RESUMABLE : 0, meta)
    return stream
  }

  /**
   * Looks for a new path for a stream that lost its own; `meta` is the CBOR of OPEN.
   * @throws {TunnelError} DRAINING, OVERLOADED or SESSION_LOST, all before anything was sent
   */
  reopen(stream: Stream, meta: Uint8Array): void {
    stream.path.reattach(this.#takeOpeningId(), this)
    this.#sendOpen(stream, FLAG.RESUMABLE | FLAG.REATTACH, meta)
  }

  #takeOpeningId(): number {
    this.#openings.checkRoom()
    return this.takeId()
  }

  #sendOpen(stream: Stream, flags: number, meta: Uint8Array): void {
    const { id } = stream
    this.#table.set(id, stream)
    this.#openings.add(stream)
    this.control(
      encodeControl({
        type: 'OPEN',
        id,
        flags,
        maxOffset: stream.grantedOffset,
        priority: 0,
        hops: 0,
        meta,
        earlyData: NO_BYTES,
      }),
    )
  }

  /** The id for a stream that we open here. @throws {TunnelError} DRAINING, OVERLOADED or SESSION_LOST */
  takeId(): number {
    if (this.isClosed) throw new TunnelError('SESSION_LOST')
    if (!this.isOpen) throw new TunnelError('DRAINING')
    if (this.#table.size >= SESSION_LIMITS.streams) {
      throw new TunnelError('OVERLOADED', `${SESSION_LIMITS.streams} streams on this session`)
    }
    if (this.link.controlBytes > SESSION_LIMITS.controlBytesAtOpen) {
      throw new TunnelError('OVERLOADED', 'the peer reads too slowly')
    }
    return this.#table.ids.take()
  }

  /** Puts a route behind an id that `takeId` gave, or that an OPEN brought. */
  place(id: number, entry: StreamEntry): void {
    this.#table.set(id, entry)
  }

  /** Makes the endpoint's stream for an OPEN of the peer, inside `opening`. */
  admit(frame: OpenFrame, handler: StreamHandler): Stream {
    const stream = new Stream({
      id: frame.id,
      isOpener: false,
      carrier: this,
      handler,
      budget: this.#budget,
      sendLimit: frame.maxOffset,
      now: this.#now,
    })
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
    if (this.#isDraining || this.isClosed) return
    this.#isDraining = true
    this.link.sendUrgent(
      encodeControl({
        type: 'GOAWAY',
        id: 0,
        code: wireFromCode(code),
        lastId: this.#table.ids.lastOfPeer,
        drainMs,
        retryAfterMs,
        meta: NO_BYTES,
      }),
    )
  }

  /**
   * Adds a link, whose WebSocket `shell` runs; its ends have proved that they are those of the session.
   * @throws {TunnelError} SESSION_LOST, or OVERLOADED where there are 16
   */
  join(shell: FurtherLinkShell, now: number): FurtherLink {
    if (this.isClosed || !this.#isGreeted) throw new TunnelError('SESSION_LOST')
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
    this.#creditDue.push(source)
    this.#handler.wake()
  }

  remove(entry: { readonly id: number }): void {
    this.#table.delete(entry.id)
  }

  forget(stream: Carried): void {
    this.#table.delete(stream.id)
    if (stream.isQueued) this.#links.scheduler.remove(stream)
    const at = this.#creditDue.indexOf(stream)
    if (at !== -1) this.#creditDue.splice(at, 1)
  }

  // Further links.

  #onFurtherData(id: number, flags: number, offset: number, bytes: Uint8Array, now: number): void {
    this.#now = now
    this.#onData(id, flags, offset, bytes)
  }

  /** What was out there did not arrive, perhaps: each receiver asks for it again. */
  #onLinkLost(carried: Iterable<number>): void {
    for (const id of carried) {
      if (this.#table.get(id) !== undefined)
        this.control(encodeControl({ type: 'PATH_LOST', id, fin: false }))
    }
    // The others take over what waits.
    this.#handler.wake()
    this.#links.wake()
  }

  #onLinksWanted(count: number): void {
    if (this.#isRelay) this.control(encodeControl({ type: 'LINKS', id: 0, wanted: count }))
    else this.#handler.links?.(this.#links.wanted)
  }

  // Bytes from the peer.

  #onData(id: number, flags: number, offset: number, bytes: Uint8Array): void {
    if (this.isClosed) return
    this.#table.data(id, flags, offset, bytes, this.#now)
  }

  #onControl(frame: ControlFrame): void {
    // A frame before it in the same chunk may have ended the session.
    if (this.isClosed) return
    if (frame.type === 'HELLO' || frame.type === 'HELLO_OK') {
      this.#onGreeting(frame.type, frame.meta)
      return
    }
    if (!this.#isGreeted) throw new TunnelError('PROTOCOL', `${frame.type} before the greeting`)
    switch (frame.type) {
      case 'OPEN':
        this.#onOpen(frame)
        return
      case 'GOAWAY':
        this.#peerDrains = true
        this.#handler.goAway(frame)
        return
      case 'NOTICE':
        if (!this.#notices.take(this.#now)) throw new TunnelError('ENHANCE_CALM', 'too many NOTICEs')
        this.#handler.notice?.(frame.meta)
        return
      case 'LINKS':
        if (!this.#notices.take(this.#now)) throw new TunnelError('ENHANCE_CALM', 'too many LINKS')
        this.#links.peerWants(frame.wanted)
        if (!this.#isRelay) this.#handler.links?.(this.#links.wanted)
        return
      case 'PING':
      case 'PONG':
      case 'ACK':
        return
      default:
        this.#table.control(frame, this.#now)
    }
  }

  #onGreeting(type: 'HELLO' | 'HELLO_OK', meta: Uint8Array): void {
    const expected = this.#isRelay ? 'HELLO' : 'HELLO_OK'
    if (type !== expected || this.#hasPeerGreeted) throw new TunnelError('PROTOCOL', `an unexpected ${type}`)
    this.#hasPeerGreeted = true
    if (!this.#isRelay) this.#isGreeted = true
    this.#handler.greeted(type, meta)
  }

  #onOpen(frame: OpenFrame): void {
    this.#table.ids.book(frame.id)
    if (!this.#opens.take(this.#now)) throw new TunnelError('ENHANCE_CALM', 'too many OPENs')
    try {
      if (this.#isDraining) throw new TunnelError('REFUSED', 'draining')
      if (this.#table.size >= SESSION_LIMITS.streams) throw new TunnelError('REFUSED', 'too many streams')
      if (frame.earlyData.length > INITIAL_CREDIT) throw new TunnelError('FLOW_CONTROL')
      this.#handler.opening(frame)
      if (frame.earlyData.length > 0) this.#onData(frame.id, 0, 0, frame.earlyData)
    } catch (error) {
      if (!(error instanceof TunnelError)) throw error
      this.#refuse(frame.id, error)
    }
  }

  #refuse(id: number, { code, detail }: TunnelError): void {
    // Whoever refused may have put something there first.
    const entry = this.#table.get(id)
    if (entry !== undefined) entry.reset(code, detail)
    else this.control(encodeControl({ type: 'RESET', id, code: wireFromCode(code), consumed: 0, detail }))
  }

  #collectCredits(now: number): void {
    for (const source of this.#creditDue.splice(0)) {
      const bytes = source.takeCredit(now)
      if (bytes !== undefined) this.link.send(bytes)
    }
  }
}

const NO_BYTES = new Uint8Array(0)
