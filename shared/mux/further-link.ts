import { TunnelError } from '../errors.ts'
import { type FrameSink, Link } from './link.ts'
import type { Scheduler } from './scheduler.ts'

/** What the shell that runs a further link's WebSocket offers. */
export interface FurtherLinkShell {
  /** There is something to transmit. May be called many times a turn. */
  wake(): void
  /** The session is over, or has no use for the link any more. */
  close(error: TunnelError): void
}

export interface FurtherLinkOptions {
  readonly scheduler: Scheduler
  readonly shell: FurtherLinkShell
  readonly pingIntervalMs: number
  readonly now: number
  /** DATA came. */
  readonly data: (id: number, flags: number, offset: number, bytes: Uint8Array, now: number) => void
  /** The link is gone, once; `carried` are the streams of which it had bytes that were not acknowledged. */
  readonly lost: (link: FurtherLink, carried: Iterable<number>) => void
}

/**
 * One of the WebSockets that a session has beside its first (docs/protocol.md section 6.6): it carries DATA of streams that
 * may be striped, its own ACK, PING and PONG, and nothing else. No I/O.
 */
export class FurtherLink {
  readonly link: Link
  readonly #options: FurtherLinkOptions
  /** Streams of which DATA left here since everything was acknowledged the last time. */
  readonly #carried = new Set<number>()
  #isOver = false

  constructor(options: FurtherLinkOptions) {
    this.#options = options
    const { scheduler } = options
    this.link = new Link({
      handler: {
        data: (id, flags, offset, bytes) => options.data(id, flags, offset, bytes, this.link.now),
        control: (frame) => {
          throw new TunnelError('PROTOCOL', `${frame.type} on a further link`)
        },
        wake: () => this.wake(),
        collect: () => undefined,
      },
      queue: {
        get isEmpty() {
          return scheduler.isEmpty
        },
        // Whoever waits for an answer does so on the first link.
        isShared: () => false,
        next: (maxBytes, now) => {
          const piece = scheduler.nextStriped(maxBytes, now)
          if (piece === undefined) return undefined
          if (this.link.inFlight.bytes === 0) this.#carried.clear()
          this.#carried.add(piece.id)
          return piece
        },
      },
      pingIntervalMs: options.pingIntervalMs,
      now: options.now,
    })
  }

  wake(): void {
    if (!this.#isOver) this.#options.shell.wake()
  }

  /** Ends the link and its WebSocket. */
  end(error: TunnelError): void {
    if (this.#isOver) return
    this.close(error)
    this.#options.shell.close(error)
  }

  // What its shell calls, as it calls a session.

  /** @throws {TunnelError} PROTOCOL or ENHANCE_CALM, after which the link is dead */
  receive(chunk: Uint8Array, now: number): void {
    if (!this.#isOver) this.link.receive(chunk, now)
  }

  endMessage(): void {
    if (!this.#isOver) this.link.endMessage()
  }

  transmit(maxBytes: number, now: number, sink: FrameSink): number {
    return this.#isOver ? 0 : this.link.transmit(maxBytes, now, sink)
  }

  get hasWork(): boolean {
    return !this.#isOver && this.link.hasWork
  }

  get deadline(): number {
    return this.link.deadline
  }

  /** @throws {TunnelError} SESSION_LOST where nothing comes on this link any more */
  tick(now: number): void {
    if (!this.#isOver) this.link.tick(now)
  }

  /** The WebSocket is gone: the session goes on with the others. */
  close(_error: TunnelError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.lost(this, this.link.inFlight.bytes === 0 ? [] : this.#carried)
  }
}
