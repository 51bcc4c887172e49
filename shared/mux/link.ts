import { TunnelError } from '../errors.ts'
import { Activity } from './activity.ts'
import { Arrivals } from './arrivals.ts'
import { DATA_HEAD_BYTES, encodeControl } from './encode.ts'
import { type ControlFrame, FRAME, MAX_DATA_BYTES } from './frame.ts'
import { FrameReader } from './frame-reader.ts'
import { InFlight } from './in-flight.ts'
import { Liveness } from './liveness.ts'
import { giveBackMemory } from './piece-memory.ts'
import type { Piece } from './scheduler.ts'
import { TokenBucket } from './token-bucket.ts'

/** Most bytes of control frames that wait for a peer which does not read; beyond it the link is given up. */
const MAX_CONTROL_BYTES = 1_048_576

/** Control frames that leave before data gets its turn, in bytes. */
const CONTROL_ROUND_BYTES = 16_384

/** Where `transmit` puts what leaves now, in order. */
export interface FrameSink {
  /** One whole frame; its memory is left alone from now on. */
  control(bytes: Uint8Array): void
  /** A DATA frame; the sink copies its bytes before it returns. */
  data(piece: Piece): void
}

/** Where a link takes its DATA from; links of one session share what lies behind it. */
export interface PieceQueue {
  /** True where `next` surely gives nothing. */
  readonly isEmpty: boolean
  next(maxBytes: number, now: number): Piece | undefined
  /** True while small requests or answers go the same way. */
  isShared(now: number): boolean
}

export interface LinkHandler {
  data(id: number, flags: number, offset: number, bytes: Uint8Array): void
  /** Any frame but DATA, PING, PONG and ACK. */
  control(frame: ControlFrame): void
  /** There is something to transmit that was not there before. */
  wake(): void
  /** Puts the stream control frames that are due in the queue, before data gets its turn. */
  collect(now: number): void
}

/**
 * One WebSocket's share of the protocol: frames in, frames out, in-flight cap, acknowledgements, liveness
 * (docs/protocol.md sections 5.3, 7, 8). No I/O: bytes and the time come in, bytes and the next deadline go out.
 */
export class Link {
  readonly inFlight = new InFlight()
  readonly #handler: LinkHandler
  readonly #reader: FrameReader
  readonly #queue: PieceQueue
  #urgent: Uint8Array[] = []
  #control: Uint8Array[] = []
  #controlBytes = 0
  /** OPENs that wait: data waits with them, because the peer ends the session for DATA of a stream it has not seen. */
  #openCount = 0
  #isOverflowing = false
  readonly #pings = new TokenBucket(10, 100)
  readonly #liveness: Liveness
  #now: number
  readonly #arrivals = new Arrivals()
  readonly #activity = new Activity()

  /** `pingIntervalMs`: silence after which a PING goes out; the shell adds its jitter. */
  constructor(options: { handler: LinkHandler; queue: PieceQueue; pingIntervalMs: number; now: number }) {
    this.#handler = options.handler
    this.#queue = options.queue
    this.#liveness = new Liveness(options.pingIntervalMs, options.now)
    this.#now = options.now
    this.#reader = new FrameReader({
      data: (id, flags, offset, bytes, wireBytes) => this.#onData(id, flags, offset, bytes, wireBytes),
      control: (frame) => this.#onControl(frame),
    })
  }

  /** Silence in ms after which a PING goes out. */
  get pingIntervalMs(): number {
    return this.#liveness.intervalMs
  }

  set pingIntervalMs(ms: number) {
    this.#liveness.intervalMs = ms
  }

  /** Monotonic ms of the last call that told the time. */
  get now(): number {
    return this.#now
  }

  /** Monotonic ms of the last byte from the peer. */
  get lastReceivedAt(): number {
    return this.#liveness.lastReceivedAt
  }

  /** How long in ms nothing moved before the question or the DATA that got no answer, or until `now` where none waits. */
  idleMs(now: number): number {
    return this.#liveness.idleMs(now, this.inFlight.waitingSince)
  }

  /** Round trip to the peer in ms: of DATA where some went lately, else of the last PING; Infinity before both. */
  get rttMs(): number {
    const { minRttMs } = this.inFlight
    return Number.isFinite(minRttMs) ? minRttMs : this.#liveness.pongMs
  }

  /** DATA bytes received, headers included: what ACK reports. */
  get receivedData(): number {
    return this.#arrivals.bytes
  }

  /** DATA bytes that moved either way in the last second, or up to two. */
  recentBytes(now: number): number {
    return this.#activity.recentBytes(now)
  }

  /** Bytes of control frames that wait. */
  get controlBytes(): number {
    return this.#controlBytes
  }

  /** Takes bytes of one WebSocket message. @throws {TunnelError} PROTOCOL, after which the link is dead */
  receive(chunk: Uint8Array, now: number): void {
    this.#now = now
    this.#liveness.heard(now)
    this.#reader.push(chunk)
  }

  /** A WebSocket message ended. @throws {TunnelError} PROTOCOL where it cut a frame */
  endMessage(): void {
    if (!this.#reader.isAtBoundary) throw new TunnelError('PROTOCOL', 'a message that ends within a frame')
  }

  /** Queues a control frame. Where the peer reads none of them, `transmit` and `tick` throw. */
  send(bytes: Uint8Array): void {
    this.#handler.wake()
    if (this.#controlBytes + bytes.length > MAX_CONTROL_BYTES) {
      this.#isOverflowing = true
      return
    }
    this.#controlBytes += bytes.length
    if (bytes[0] === FRAME.OPEN) this.#openCount++
    this.#control.push(bytes)
  }

  /** Queues a frame that goes before all others. */
  sendUrgent(bytes: Uint8Array): void {
    this.#urgent.push(bytes)
    this.#handler.wake()
  }

  /**
   * Hands frames of about `maxBytes` in all to `sink`: urgent, control, data.
   * @returns the bytes handed over, WebSocket headers not counted
   * @throws {TunnelError} ENHANCE_CALM where the peer reads no control frames
   */
  transmit(maxBytes: number, now: number, sink: FrameSink): number {
    this.#now = now
    this.#checkOverflow()
    let sent = 0
    if (this.#arrivals.isDue(now)) this.#urgent.push(this.#arrivals.take(now))
    if (this.#urgent.length > 0) {
      const urgent = this.#urgent
      this.#urgent = []
      for (const bytes of urgent) {
        sent += bytes.length
        sink.control(bytes)
      }
    }
    this.inFlight.isShared = this.#queue.isShared(now)
    this.#handler.collect(now)
    if (this.#controlBytes > 0) sent += this.#transmitControl(sink)
    while (sent < maxBytes && this.#isDataReady) {
      const piece = this.#queue.next(MAX_DATA_BYTES, now)
      if (piece === undefined) break
      const bytes = piece.bytes.length + DATA_HEAD_BYTES
      this.inFlight.sent(bytes, now)
      this.#activity.add(bytes, now)
      sent += bytes
      sink.data(piece)
      if (piece.spent !== undefined) giveBackMemory(piece.spent)
    }
    return sent
  }

  #transmitControl(sink: FrameSink): number {
    let sent = 0
    let count = 0
    for (const bytes of this.#control) {
      if (sent >= CONTROL_ROUND_BYTES) break
      sent += bytes.length
      count++
      if (bytes[0] === FRAME.OPEN) this.#openCount--
      sink.control(bytes)
    }
    this.#control = count === this.#control.length ? [] : this.#control.slice(count)
    this.#controlBytes -= sent
    return sent
  }

  /** Whether `transmit` would hand something over now. */
  get hasWork(): boolean {
    return (
      this.#urgent.length > 0 ||
      this.#controlBytes > 0 ||
      this.#arrivals.isDue(this.#now) ||
      this.#isDataReady
    )
  }

  /** True while nothing waits but OPENs: the first bytes of their streams may come with the next turn, and leave with them. */
  get mayWait(): boolean {
    return this.#openCount > 0 && this.#openCount === this.#control.length && this.#queue.isEmpty
  }

  get #isDataReady(): boolean {
    return this.#openCount === 0 && !this.#queue.isEmpty && this.inFlight.room > 0
  }

  /** Monotonic ms at which `tick` wants to be called; calling it earlier or later does no harm. */
  get deadline(): number {
    if (this.#isOverflowing) return this.#now
    const liveness = this.#liveness.deadline(this.inFlight.waitingSince)
    // An ACK that is overdue waits for the socket and not for the clock: the shell was woken for it.
    const ackDueAt = this.#arrivals.dueAt
    return ackDueAt > this.#now ? Math.min(liveness, ackDueAt) : liveness
  }

  /** Time has passed. @throws {TunnelError} SESSION_LOST where the peer is dead, ENHANCE_CALM where it reads no control frames */
  tick(now: number): void {
    this.#now = now
    this.#checkOverflow()
    if (this.#arrivals.isDue(now)) this.#handler.wake()
    if (this.#liveness.isDue(now, this.inFlight.waitingSince)) this.#ping(now)
  }

  #checkOverflow(): void {
    if (this.#isOverflowing) throw new TunnelError('ENHANCE_CALM', 'the peer reads no control frames')
  }

  /** The clock jumped: asks the peer at once whether it still knows us. */
  probe(now: number): void {
    this.#ping(now, true)
  }

  /** Asks the peer for the round trip before any DATA tells it. */
  measure(now: number): void {
    this.#ping(now)
  }

  #ping(now: number, isAfterJump = false): void {
    this.#liveness.asked(now, isAfterJump)
    this.sendUrgent(encodeControl({ type: 'PING', id: 0, opaque: new Uint8Array(8) }))
  }

  #onData(id: number, flags: number, offset: number, bytes: Uint8Array, wireBytes: number): void {
    this.#arrivals.add(wireBytes, flags, this.#now)
    this.#activity.add(wireBytes, this.#now)
    if (this.#arrivals.isDue(this.#now)) this.#handler.wake()
    this.#handler.data(id, flags, offset, bytes)
  }

  #onControl(frame: ControlFrame): void {
    switch (frame.type) {
      case 'PING':
        if (!this.#pings.take(this.#now)) throw new TunnelError('ENHANCE_CALM', 'too many PINGs')
        this.sendUrgent(encodeControl({ type: 'PONG', id: 0, opaque: frame.opaque }))
        return
      case 'PONG':
        this.#liveness.answered(this.#now)
        return
      case 'ACK':
        if (!this.inFlight.acknowledged(frame.received, frame.holdUs / 1_000, this.#now)) {
          throw new TunnelError('PROTOCOL', 'an ACK of bytes that were never sent')
        }
        if (!this.#queue.isEmpty) this.#handler.wake()
        return
      default:
        this.#handler.control(frame)
    }
  }
}
