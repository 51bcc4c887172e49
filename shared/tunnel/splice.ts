import type net from 'node:net'
import type { ErrorCode, TunnelError } from '../errors.ts'
import type { Stream } from '../mux/stream.ts'
import type { StreamHandler } from '../mux/stream-handler.ts'
import { BlockReader } from './blocks.ts'
import { WriteBatch } from './write-batch.ts'

export interface SpliceOptions {
  /** Code of the RESET where the socket breaks: TARGET_RESET at the agent, CANCELLED on the opener's side. */
  readonly brokenCode: ErrorCode
  /** The far end accepted (opener only). */
  readonly onOpened?: (meta: Uint8Array) => void
  /** The stream is over. */
  readonly onClosed?: (error: TunnelError | null) => void
}

/**
 * Joins a stream and a TCP socket, byte for byte and event for event (docs/protocol.md section 4.6): a FIN becomes an end,
 * a broken socket a RESET, a RESET a broken socket, so truncated data never looks complete. The far end gets
 * credit when the kernel has taken its bytes.
 */
export class Splice implements StreamHandler {
  readonly reader: BlockReader
  readonly #options: SpliceOptions
  #stream: Stream | undefined
  #socket: net.Socket | undefined
  /** Bytes that came before there was a socket; at most the initial credit. */
  #early: Uint8Array[] = []
  #hasEnded = false
  #isOver = false
  readonly #batch: WriteBatch
  #isFlushDue = false
  #delivered = 0
  #consumed = 0

  constructor(options: SpliceOptions) {
    this.#options = options
    this.reader = new BlockReader((bytes, release) => this.#onChunk(bytes, release))
    this.#batch = new WriteBatch((bytes, release) => {
      this.#delivered += bytes.length
      this.#socket?.write(bytes, () => {
        release()
        this.#onWritten()
      })
    })
  }

  /** The stream that this is the handler of; at once after it was made. */
  set stream(stream: Stream) {
    this.#stream = stream
  }

  /** Joins the socket; reading starts if it was paused. It must have `allowHalfOpen: true`. */
  attach(socket: net.Socket): void {
    if (this.#isOver) {
      socket.destroy()
      return
    }
    this.#socket = socket
    socket.on('error', (error: NodeJS.ErrnoException) => this.#onSocketError(error))
    socket.on('end', () => this.#stream?.end())
    socket.on('close', () => this.#onSocketClose())
    // Sockets without `onread` (a fallback, or a TLS socket) come here.
    socket.on('data', (bytes: Buffer) => {
      if (!this.#onChunk(bytes, undefined)) socket.pause()
    })
    const early = this.#early
    this.#early = []
    for (const bytes of early) this.data(bytes)
    if (this.#hasEnded) this.ended()
    socket.resume()
  }

  // As the stream's handler.

  opened(meta: Uint8Array): void {
    this.#options.onOpened?.(meta)
  }

  data(bytes: Uint8Array): void {
    if (this.#socket === undefined) {
      this.#early.push(new Uint8Array(bytes))
      return
    }
    this.#batch.append(bytes)
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    setImmediate(this.#flush)
  }

  ended(): void {
    this.#hasEnded = true
    this.#batch.flush()
    const socket = this.#socket
    if (socket === undefined) return
    // Where the other direction has ended too, closing says the same as a FIN and saves the system call and its answer.
    if (socket.readableEnded && this.#consumed === this.#delivered && !('encrypted' in socket))
      socket.destroy()
    else socket.end()
  }

  writable(): void {
    this.#socket?.resume()
  }

  stopped(): void {
    // The far end reads no more, but what it sends still counts: swallow our side instead of breaking the socket.
    this.#socket?.resume()
  }

  closed(error: TunnelError | null): void {
    this.#isOver = true
    this.#early = []
    this.#finish(error)
    this.#options.onClosed?.(error)
  }

  // As the socket's owner.

  readonly #flush = (): void => {
    this.#isFlushDue = false
    this.#batch.flush()
  }

  /** Runs for each chunk that the kernel took; what is still queued is not consumed yet. */
  readonly #onWritten = (): void => {
    const socket = this.#socket
    if (socket === undefined || socket.destroyed) return
    const taken = this.#delivered - socket.writableLength
    const length = taken - this.#consumed
    if (length <= 0) return
    this.#consumed = taken
    this.#stream?.consume(length)
  }

  #onChunk(bytes: Uint8Array, release: (() => void) | undefined): boolean {
    const stream = this.#stream
    if (stream === undefined || this.#isOver) {
      release?.()
      return true
    }
    stream.write(bytes, release)
    return stream.room > 0 || !stream.isWriting
  }

  #onSocketError(error: NodeJS.ErrnoException): void {
    this.#stream?.reset(this.#options.brokenCode, error.code ?? '')
  }

  #onSocketClose(): void {
    this.reader.close()
    // A socket that closes without an error has ended both ways; only then are both halves of the stream over.
    if (this.#isOver) return
    if (!this.#hasEnded || this.#consumed < this.#delivered) this.#stream?.reset(this.#options.brokenCode)
  }

  #finish(error: TunnelError | null): void {
    const socket = this.#socket
    if (error !== null || socket === undefined || socket.destroyed) this.#batch.clear()
    if (socket === undefined || socket.destroyed) return
    this.#batch.flush()
    if (error === null) socket.destroySoon()
    // Behind our own FIN libuv refuses to reset and would keep the descriptor; what went before the FIN was whole.
    else if (socket.writableEnded) socket.destroy()
    else socket.resetAndDestroy()
  }
}
