import type net from 'node:net'
import type { Effects } from '../effects.ts'
import { isTunnelError, TunnelError } from '../errors.ts'
import type { Link } from '../mux/link.ts'
import type { Session } from '../mux/session.ts'
import { CLOSE, OPCODE, type Opcode, WebSocketReader } from '../wire/websocket.ts'
import { FrameWriter, type FrameWriterOptions } from './frame-writer.ts'
import { readInto } from './read-into.ts'

/** Bytes given to the socket beyond what it has accepted; more would only build a queue that nothing can overtake. */
const MAX_OUTSTANDING_BYTES = 65_536

/** A timer that fires so much too late in ms saw the machine sleep. */
const CLOCK_JUMP_MS = 5_000

/** How long the closing handshake may take, in ms. */
const CLOSE_TIMEOUT_MS = 2_000

/**
 * Where every session's bytes are decrypted to: what must wait is copied from here, so nothing is left to the collector, and
 * the memory stays in the processor's cache. A TLS record holds at most 16 KiB.
 */
const landing = new Uint8Array(65_536)

/**
 * Bytes read in one turn of the event loop before others get theirs: libuv would go on for 2 MiB, and whatever else is ready
 * would wait for all of it.
 */
const TURN_BYTES = 262_144

/** A session with its first link, or one of its further links. */
export type LinkEnd = Pick<
  Session,
  'receive' | 'endMessage' | 'transmit' | 'hasWork' | 'deadline' | 'tick' | 'close'
> & { readonly link: Pick<Link, 'controlBytes' | 'probe' | 'mayWait'> }

export interface SessionSocketOptions extends Pick<FrameWriterOptions, 'isClient' | 'mask'> {
  /** The upgraded connection; this takes it over whole. */
  readonly socket: net.Socket
  readonly session: LinkEnd
  readonly effects: Effects
  /** The session, or this link of it, is over, once; every stream was told before. */
  readonly onClosed: (error: TunnelError) => void
}

/**
 * Runs a session, or one more link of it, over an upgraded socket: bytes in, bytes out at the end of the event loop's turn, and one timer. It is
 * the only place where mux, WebSocket frames and socket meet.
 */
export class SessionSocket {
  readonly #socket: net.Socket
  readonly #session: LinkEnd
  readonly #effects: Effects
  readonly #onClosed: (error: TunnelError) => void
  readonly #reader: WebSocketReader
  readonly #writer: FrameWriter
  #isScheduled = false
  /** What is scheduled has let one turn pass. */
  #hasWaited = false
  #isOver = false
  /** Bytes read since the turn began. */
  #turnBytes = 0
  #cancelTimer: (() => void) | undefined
  #timerAt = Number.POSITIVE_INFINITY

  constructor(options: SessionSocketOptions) {
    this.#socket = options.socket
    this.#session = options.session
    this.#effects = options.effects
    this.#onClosed = options.onClosed
    this.#reader = new WebSocketReader(
      {
        payload: (bytes) => this.#session.receive(bytes, this.#effects.now()),
        messageEnd: () => this.#session.endMessage(),
        ping: (bytes) => this.#onPing(bytes),
        close: (code) =>
          this.#fail(new TunnelError('SESSION_LOST', `the peer closed with ${code}`), CLOSE.normal),
      },
      !options.isClient,
    )
    this.#writer = new FrameWriter({
      isClient: options.isClient,
      mask: options.mask,
      effects: options.effects,
      write: (bytes, release) => {
        this.#socket.write(bytes, () => {
          release()
          this.#onWritten()
        })
      },
    })
    this.#socket.setNoDelay(true)
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    readInto(this.#socket, landing, (bytes) => {
      if (this.#turnBytes === 0) setImmediate(this.#endTurn)
      this.#turnBytes += bytes.length
      this.#onData(bytes)
      return this.#turnBytes < TURN_BYTES
    })
    this.#socket.resume()
    this.#socket.on('error', (error) => this.#end(new TunnelError('SESSION_LOST', '', { cause: error })))
    this.#socket.on('end', () => this.#end(new TunnelError('SESSION_LOST', 'the peer hung up')))
    this.#socket.on('close', () => this.#end(new TunnelError('SESSION_LOST', 'the connection closed')))
    this.#arm()
  }

  /** Something may be there to transmit: sends it at the end of this turn. */
  wake(): void {
    if (this.#isScheduled || this.#isOver) return
    this.#isScheduled = true
    setImmediate(this.#flush)
  }

  /** Ends the session with `error`: streams are lost, the peer gets the control frames that wait and a WebSocket CLOSE. */
  close(error: TunnelError): void {
    // A GOAWAY tells the peer why; data would be of no use any more.
    do if (!this.#isOver) this.#transmit(0)
    while (!this.#isOver && this.#session.link.controlBytes > 0)
    this.#fail(error, CLOSE.normal)
  }

  readonly #flush = (): void => {
    if (!this.#hasWaited && this.#session.link.mayWait) {
      this.#hasWaited = true
      setImmediate(this.#flush)
      return
    }
    this.#hasWaited = false
    this.#isScheduled = false
    if (this.#isOver) return
    const room = MAX_OUTSTANDING_BYTES - this.#socket.writableLength
    if (room > 0 && this.#session.hasWork) this.#transmit(room)
    if (!this.#isOver) this.#arm()
  }

  #transmit(room: number): void {
    try {
      this.#session.transmit(room, this.#effects.now(), this.#writer)
      this.#writer.flush()
    } catch (error) {
      this.#onFault(error)
    }
  }

  readonly #onWritten = (): void => {
    if (this.#socket.writableLength < MAX_OUTSTANDING_BYTES && this.#session.hasWork) this.wake()
  }

  /** Whoever asks without reading the answers gets no more of them: they would only pile up here. */
  #onPing(bytes: Uint8Array): void {
    if (this.#socket.writableLength < MAX_OUTSTANDING_BYTES) this.#writeFrame(OPCODE.pong, bytes)
  }

  #writeFrame(opcode: Opcode, payload: Uint8Array): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    this.#writer.frame(opcode, payload)
  }

  readonly #endTurn = (): void => {
    const wasStopped = this.#turnBytes >= TURN_BYTES
    this.#turnBytes = 0
    if (wasStopped) this.#socket.resume()
  }

  #onData(chunk: Uint8Array): void {
    if (this.#isOver) return
    try {
      this.#reader.push(chunk)
    } catch (error) {
      this.#onFault(error)
    }
    if (!this.#isOver) this.#arm()
  }

  #arm(): void {
    const { deadline } = this.#session
    if (deadline >= this.#timerAt) return
    this.#cancelTimer?.()
    const now = this.#effects.now()
    // What is overdue already, because only now something waits for it, is no jump of the clock.
    this.#timerAt = Math.max(deadline, now)
    this.#cancelTimer = this.#effects.after(Math.max(1, deadline - now), () => this.#onTimer())
  }

  #onTimer(): void {
    const now = this.#effects.now()
    const isLate = now - this.#timerAt > CLOCK_JUMP_MS
    this.#timerAt = Number.POSITIVE_INFINITY
    try {
      // After a sleep the peer deserves a question before it is declared dead.
      if (isLate) this.#session.link.probe(now)
      this.#session.tick(now)
    } catch (error) {
      this.#onFault(error)
    }
    if (!this.#isOver) this.#arm()
  }

  /** A TunnelError is the peer's fault and ends the session; anything else is a bug and must be seen. */
  #onFault(error: unknown): void {
    if (!isTunnelError(error)) {
      this.#fail(new TunnelError('INTERNAL', '', { cause: error }), CLOSE.protocol)
      throw error
    }
    this.#fail(error, error.code === 'SESSION_LOST' ? CLOSE.normal : CLOSE.protocol)
  }

  #fail(error: TunnelError, closeCode: number): void {
    if (this.#isOver) return
    const socket = this.#socket
    this.#writeFrame(OPCODE.close, Uint8Array.of(closeCode >>> 8, closeCode & 0xff))
    socket.end()
    const cancel = this.#effects.after(CLOSE_TIMEOUT_MS, () => socket.destroy())
    socket.once('close', cancel)
    this.#end(error)
  }

  #end(error: TunnelError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelTimer?.()
    this.#session.close(error)
    if (!this.#socket.writableEnded) this.#socket.destroy()
    this.#onClosed(error)
  }
}
