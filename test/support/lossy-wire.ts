import type { Effects } from '../../shared/effects.ts'

export interface WireOptions {
  readonly effects: Effects
  /** From one end to the other, in ms. */
  readonly delayMs?: number
  /** Bytes per ms; without it any number pass at once. */
  readonly rate?: number
  /** How a message is cut on its way: not at all, at random places, or into single bytes. */
  readonly cuts?: 'none' | 'random' | 'bytes'
}

/** What the receiving end of a wire does. */
export interface WireReceiver {
  chunk(bytes: Uint8Array): void
  messageEnd(): void
  closed(): void
}

/** One direction of a connection in virtual time: messages arrive whole and in order, but in chunks of any size. */
export class Wire {
  readonly #effects: Effects
  readonly #delayMs: number
  readonly #rate: number
  readonly #cuts: 'none' | 'random' | 'bytes'
  #receiver: WireReceiver | undefined
  #onRoom: () => void = () => {}
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #freeAt = 0
  #isPaused = false
  #isClosed = false
  /** Bytes that entered so far. */
  written = 0
  /** False makes everything that enters from now on vanish, as in a network that dropped the connection. */
  isCarrying = true

  constructor(options: WireOptions) {
    this.#effects = options.effects
    this.#delayMs = options.delayMs ?? 0
    this.#rate = options.rate ?? Number.POSITIVE_INFINITY
    this.#cuts = options.cuts ?? 'none'
  }

  /** Joins the far end to it; `onRoom` is called when bytes have left and more may be written. */
  connect(receiver: WireReceiver, onRoom: () => void): void {
    this.#receiver = receiver
    this.#onRoom = onRoom
  }

  /** Bytes that have not left yet: what a socket would call its writable length. */
  get outstanding(): number {
    return this.#queuedBytes
  }

  /** Sends one message. */
  send(message: Uint8Array): void {
    if (this.#isClosed) return
    this.written += message.length
    if (!this.isCarrying) return
    this.#queue.push(message)
    this.#queuedBytes += message.length
    if (!this.#isPaused) this.#leave()
  }

  /** The far end reads no more: what is sent waits. */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#leave()
  }

  /** Cuts the wire once what has left arrived; what waits is lost. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#queue = []
    this.#queuedBytes = 0
    this.#effects.after(this.#delayMs, () => this.#receiver?.closed())
  }

  #leave(): void {
    const messages = this.#queue
    this.#queue = []
    for (const message of messages) {
      this.#freeAt = Math.max(this.#effects.now(), this.#freeAt) + message.length / this.#rate
      this.#effects.after(this.#freeAt - this.#effects.now(), () => this.#left(message))
    }
  }

  #left(message: Uint8Array): void {
    this.#queuedBytes -= message.length
    if (this.#queuedBytes < 0) this.#queuedBytes = 0
    this.#effects.after(this.#delayMs, () => this.#arrive(message))
    this.#onRoom()
  }

  #arrive(message: Uint8Array): void {
    for (let at = 0; at < message.length; ) {
      const size = this.#chunkSize(message.length - at)
      this.#receiver?.chunk(message.subarray(at, at + size))
      at += size
    }
    this.#receiver?.messageEnd()
  }

  #chunkSize(rest: number): number {
    if (this.#cuts === 'none') return rest
    if (this.#cuts === 'bytes') return 1
    // Small cuts go through headers, large ones through payloads: both have to happen often.
    const most = this.#effects.random() < 0.5 ? 20 : rest
    return Math.min(rest, 1 + Math.floor(this.#effects.random() * most))
  }
}
