import type net from 'node:net'
import type { Effects } from '../effects.ts'
import { isTunnelError, TunnelError } from '../errors.ts'
import { DATA_HEAD_BYTES, writeDataHead } from '../mux/encode.ts'
import { MAX_DATA_BYTES } from '../mux/frame.ts'
import type { FrameSink, Link } from '../mux/link.ts'
import type { Piece } from '../mux/scheduler.ts'
import type { Session } from '../mux/session.ts'
import { CLOSE, headBytes, OPCODE, WebSocketReader, writeHead } from '../wire/websocket.ts'
import { readInto } from './read-into.ts'
import { WriteBatch } from './write-batch.ts'

/** Bytes given to the socket beyond what it has accepted; more would only build a queue that nothing can overtake. */
const MAX_OUTSTANDING_BYTES = 65_536

/** A timer that fires so much too late in ms saw the machine sleep. */
const CLOCK_JUMP_MS = 5_000

/** How long the closing handshake may take, in ms. */
const CLOSE_TIMEOUT_MS = 2_000

/** Control frames that share a message, in bytes; one alone may be longer. */
const MAX_CONTROL_MESSAGE_BYTES = 16_384

/** What is written apart where whole DATA frames follow, in bytes. */
const MAX_PREFIX_BYTES = 4_096

/**
 * Where every session's bytes are decrypted to: what must wait is copied from here, so nothing is left to the collector, and
 * the memory stays in the processor's cache. A TLS record holds at most 16 KiB.
 */
const landing = new Uint8Array(65_536)

/**
 * Bytes read in one turn of the event loop before others get theirs: libuv would go on for 2 MiB, and whatever else is ready
 * would wait for all of it.
 */
const TURN_BYTES = 131_072

const ZERO_MASK = new Uint8Array(4)

/** A session with its first link, or one of its further links. */
export type LinkEnd = Pick<
  Session,
  'receive' | 'endMessage' | 'transmit' | 'hasWork' | 'deadline' | 'tick' | 'close'
> & { readonly link: Pick<Link, 'controlBytes' | 'probe'> }

export interface SessionSocketOptions {
  /** The upgraded connection; this takes it over whole. */
  readonly socket: net.Socket
  readonly session: LinkEnd
  /** Clients mask their frames (RFC 6455 section 5.1), servers do not. */
  readonly isClient: boolean
  /**
   * `zero` sends a mask of zeros: allowed inside TLS to a verified peer, where no proxy can read the frames, and it saves
   * half of the sender's work. `random` where something in between reads them.
   */
  readonly mask: 'zero' | 'random'
  readonly effects: Effects
  /** The session, or this link of it, is over, once; every stream was told before. */
  readonly onClosed: (error: TunnelError) => void
}

/**
 * Runs a session, or one more link of it, over an upgraded socket: bytes in, bytes out at the end of the event loop's turn, and one timer. It is
 * the only place where mux, WebSocket frames and socket meet.
 */
export class SessionSocket implements FrameSink {
  readonly #socket: net.Socket
  readonly #session: LinkEnd
  readonly #isClient: boolean
  readonly #mask: 'zero' | 'random'
  readonly #effects: Effects
  readonly #onClosed: (error: TunnelError) => void
  readonly #reader: WebSocketReader
  readonly #batch: WriteBatch
  #controls: Uint8Array[] = []
  #controlBytes = 0
  #isScheduled = false
  #isOver = false
  /** Bytes read since the turn began. */
  #turnBytes = 0
  #cancelTimer: (() => void) | undefined
  #timerAt = Number.POSITIVE_INFINITY

  constructor(options: SessionSocketOptions) {
    this.#socket = options.socket
    this.#session = options.session
    this.#isClient = options.isClient
    this.#mask = options.mask
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
    this.#batch = new WriteBatch((bytes, release) => {
      this.#socket.write(bytes, () => {
        release()
        this.#onWritten()
      })
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

  // As the sink of the session.

  control(bytes: Uint8Array): void {
    if (this.#controlBytes + bytes.length > MAX_CONTROL_MESSAGE_BYTES) this.#writeControls()
    this.#controls.push(bytes)
    this.#controlBytes += bytes.length
  }

  data(piece: Piece): void {
    this.#writeControls()
    const { bytes } = piece
    const length = bytes.length + DATA_HEAD_BYTES
    const headLength = headBytes(length, this.#isClient)
    // A few bytes in front of a bulk transfer would cut each of its frames over two TLS records.
    if (bytes.length === MAX_DATA_BYTES && this.#batch.used < MAX_PREFIX_BYTES) this.#batch.flush()
    const at = this.#batch.reserve(headLength + length)
    const { buffer } = this.#batch
    const mask = this.#nextMask()
    writeHead(buffer, at, OPCODE.binary, length, mask)
    const head = at + headLength
    writeDataHead(buffer, head, {
      id: piece.id,
      flags: piece.flags,
      offset: piece.offset,
      length: bytes.length,
    })
    buffer.set(bytes, head + DATA_HEAD_BYTES)
    applyMask(buffer, head, length, mask)
  }

  readonly #flush = (): void => {
    this.#isScheduled = false
    if (this.#isOver) return
    const room = MAX_OUTSTANDING_BYTES - this.#socket.writableLength
    if (room > 0 && this.#session.hasWork) this.#transmit(room)
    if (!this.#isOver) this.#arm()
  }

  #transmit(room: number): void {
    try {
      this.#session.transmit(room, this.#effects.now(), this)
      this.#writeControls()
      this.#batch.flush()
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

  /** Control frames of one turn share a message. */
  #writeControls(): void {
    if (this.#controls.length === 0) return
    const controls = this.#controls
    const length = this.#controlBytes
    this.#controls = []
    this.#controlBytes = 0
    this.#writeMessage(OPCODE.binary, controls, length)
  }

  #writeMessage(opcode: number, parts: readonly Uint8Array[], length: number): void {
    const headLength = headBytes(length, this.#isClient)
    const start = this.#batch.reserve(headLength + length)
    const { buffer } = this.#batch
    const mask = this.#nextMask()
    writeHead(buffer, start, opcode, length, mask)
    let at = start + headLength
    for (const bytes of parts) {
      buffer.set(bytes, at)
      at += bytes.length
    }
    applyMask(buffer, start + headLength, length, mask)
  }

  #writeFrame(opcode: number, payload: Uint8Array): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    this.#writeMessage(opcode, [payload], payload.length)
    this.#batch.flush()
  }

  #nextMask(): Uint8Array | undefined {
    if (!this.#isClient) return undefined
    return this.#mask === 'zero' ? ZERO_MASK : this.#effects.randomBytes(4)
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
    const deadline = this.#session.deadline
    if (deadline >= this.#timerAt) return
    this.#cancelTimer?.()
    this.#timerAt = deadline
    this.#cancelTimer = this.#effects.after(Math.max(1, deadline - this.#effects.now()), () =>
      this.#onTimer(),
    )
  }

  #onTimer(): void {
    const now = this.#effects.now()
    const isLate = now - this.#timerAt > CLOCK_JUMP_MS
    this.#timerAt = Number.POSITIVE_INFINITY
    try {
      // After a sleep the peer deserves a question before it is declared dead.
      if (isLate) this.#session.link.probe(now)
      else this.#session.tick(now)
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

/** Masks `length` bytes of `buffer` from `at` on in place (RFC 6455 section 5.3). */
function applyMask(buffer: Uint8Array, at: number, length: number, mask: Uint8Array | undefined): void {
  if (mask === undefined || mask === ZERO_MASK) return
  for (let index = 0; index < length; index++) {
    buffer[at + index] = (buffer[at + index] as number) ^ (mask[index & 3] as number)
  }
}
