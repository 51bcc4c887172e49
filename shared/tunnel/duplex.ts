import { Duplex } from 'node:stream'
import { TunnelError } from '../errors.ts'
import type { Stream } from '../mux/stream.ts'
import type { StreamHandler } from '../mux/stream-handler.ts'

/**
 * A stream as a Node Duplex that can stand where a `net.Socket` is expected. It takes writes at once, emits `connect` when
 * the target was reached, and is destroyed with a TunnelError when it was not. Each end is independent (`allowHalfOpen`).
 */
export class TunnelDuplex extends Duplex {
  /** What the stream reports to. */
  readonly handler: StreamHandler
  #stream: Stream | undefined
  #isConnecting = true
  #pushed = 0
  #consumed = 0
  /** What `_write` waits for while the far end gives no credit. */
  #onRoom: (() => void) | undefined
  #isOver = false
  #timeoutMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor() {
    super({ allowHalfOpen: true, autoDestroy: true, emitClose: true })
    this.handler = {
      opened: () => this.#onOpened(),
      data: (bytes) => this.#onData(bytes),
      ended: () => this.#onEnded(),
      writable: () => this.#onWritable(),
      stopped: () => this.#onWritable(),
      closed: (error) => this.#onClosed(error),
    }
  }

  /** The stream that `handler` was given to; at once after it was made. */
  set stream(stream: Stream) {
    this.#stream = stream
  }

  /** True until the far end has reached the target. */
  get connecting(): boolean {
    return this.#isConnecting
  }

  /** Gives the stream up when `signal` aborts. */
  destroyOn(signal: AbortSignal): void {
    const onAbort = () => this.destroy(new TunnelError('CANCELLED'))
    if (signal.aborted) onAbort()
    else {
      signal.addEventListener('abort', onAbort, { once: true })
      this.once('close', () => signal.removeEventListener('abort', onAbort))
    }
  }

  // As a Duplex.

  override _read(): void {
    this.#offer()
  }

  override read(size?: number): Buffer | null {
    const bytes = super.read(size) as Buffer | null
    this.#offer()
    return bytes
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const stream = this.#stream
    if (stream === undefined || this.#isOver) {
      callback(new TunnelError('SESSION_LOST'))
      return
    }
    this.#touch()
    // The stream keeps the bytes until the far end has consumed them, longer than the writer leaves them alone.
    stream.write(Buffer.from(chunk))
    if (stream.room > 0 || !stream.isWriting) callback()
    else this.#onRoom = () => callback()
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#stream?.end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#timer)
    const stream = this.#stream
    if (stream !== undefined && !this.#isOver) closeStream(stream, this, error)
    this.#isOver = true
    const onRoom = this.#onRoom
    this.#onRoom = undefined
    onRoom?.()
    callback(error)
  }

  // What the stream reports.

  #onOpened(): void {
    this.#isConnecting = false
    this.emit('connect')
    this.emit('ready')
  }

  #onData(bytes: Uint8Array): void {
    this.#touch()
    this.#pushed += bytes.length
    this.push(Buffer.from(bytes))
    this.#offer()
  }

  #onEnded(): void {
    this.push(null)
    // Without a reader 'end' would never be seen, and nobody would close the other direction.
    if (this.readableLength === 0) this.read(0)
  }

  #onWritable(): void {
    const onRoom = this.#onRoom
    this.#onRoom = undefined
    onRoom?.()
  }

  #onClosed(error: TunnelError | null): void {
    this.#isOver = true
    if (error !== null) this.destroy(error)
    else this.#onWritable()
  }

  // What HTTP and TLS ask of a socket.

  setTimeout(ms: number, callback?: () => void): this {
    this.#timeoutMs = ms
    if (callback !== undefined && ms > 0) this.once('timeout', callback)
    this.#touch()
    if (ms === 0) clearTimeout(this.#timer)
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  /** Breaks the stream, so that the far side sees a reset and not an end. */
  resetAndDestroy(): this {
    return this.destroy(new TunnelError('CANCELLED'))
  }

  destroySoon(): void {
    if (!this.writableEnded && !this.destroyed) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  /** Tells the far end how much the application has taken. */
  #offer(): void {
    const taken = this.#pushed - this.readableLength
    const length = taken - this.#consumed
    if (length <= 0) return
    this.#consumed = taken
    this.#stream?.consume(length)
  }

  #touch(): void {
    if (this.#timeoutMs === 0) return
    if (this.#timer === undefined) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined
        this.emit('timeout')
      }, this.#timeoutMs)
      this.#timer.unref()
    } else this.#timer.refresh()
  }
}

/**
 * As a socket is closed: what was written and ended still arrives, though nobody reads the answer any more; in any other
 * case the far end learns that something is missing.
 */
function closeStream(stream: Stream, duplex: Duplex, error: Error | null): void {
  const { readableEnded, writableFinished } = duplex
  if (readableEnded && writableFinished) return
  if (error === null && writableFinished) stream.stop('CANCELLED')
  else stream.reset(error instanceof TunnelError ? error.code : 'CANCELLED')
}
