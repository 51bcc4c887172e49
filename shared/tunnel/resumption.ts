import type { Effects } from '../effects.ts'
import { type ErrorCode, isTunnelError, TunnelError } from '../errors.ts'
import { decodeOpenOkMeta, encodeOpenMeta, type OpenMeta } from '../handshake/open.ts'
import type { Session } from '../mux/session.ts'
import type { Stream } from '../mux/stream.ts'
import type { StreamHandler } from '../mux/stream-handler.ts'

/** How long both ends keep a stream without a path, in ms: by default, and at most. */
export const GRACE_MS = { default: 30_000, max: 120_000 } as const

/** How long an opener waits between two tries to find a path, in ms. */
const RETRY_MS = { first: 100, most: 2_000 } as const

/** Bytes of a stream's secret. */
const SECRET_BYTES = 16

/** A session to open streams on, and what is known beforehand of where an OPEN on it goes. */
export interface OpeningPath {
  readonly session: Session
  /** The agent at its end; undefined where a relay chooses one. */
  readonly agent?: string | undefined
  /** The relay process at its end, by its `instance` in HELLO_OK. */
  readonly relay?: Uint8Array | undefined
}

/** What an opener knows of a stream that may outlive its path. */
interface Ticket<Context> {
  readonly context: Context
  readonly stream: Stream
  readonly meta: OpenMeta
  /** The agent that has it, or may have it before the answer; undefined where nobody named one. */
  agent: string | undefined
  /** The relay process to which alone its OPENs went; undefined where that is not known. */
  relay: Uint8Array | undefined
  attempt: number
  failures: number
  /** Why there is no path. */
  error: TunnelError | undefined
  cancelGrace: (() => void) | undefined
  cancelRetry: (() => void) | undefined
}

/** Passes on what a stream tells its handler, and hears with it that the stream was opened and that it is over. */
class Overheard<Context> implements StreamHandler {
  /** Known as soon as the stream is there; it tells nothing before. */
  ticket: Ticket<Context> | undefined
  readonly #handler: StreamHandler
  readonly #onOpened: (ticket: Ticket<Context>, meta: Uint8Array) => void
  readonly #onClosed: (ticket: Ticket<Context>, error: TunnelError | null) => void

  constructor(
    handler: StreamHandler,
    onOpened: (ticket: Ticket<Context>, meta: Uint8Array) => void,
    onClosed: (ticket: Ticket<Context>, error: TunnelError | null) => void,
  ) {
    this.#handler = handler
    this.#onOpened = onOpened
    this.#onClosed = onClosed
  }

  opened(meta: Uint8Array): void {
    if (this.ticket !== undefined) this.#onOpened(this.ticket, meta)
    this.#handler.opened(meta)
  }

  data(bytes: Uint8Array): void {
    this.#handler.data(bytes)
  }

  ended(): void {
    this.#handler.ended()
  }

  writable(): void {
    this.#handler.writable()
  }

  stopped(code: ErrorCode): void {
    this.#handler.stopped(code)
  }

  closed(error: TunnelError | null): void {
    if (this.ticket !== undefined) this.#onClosed(this.ticket, error)
    this.#handler.closed(error)
  }
}

export interface ResumptionOptions<Context> {
  readonly effects: Effects
  /**
   * Where a stream looks for its agent; undefined: whichever.
   * @throws {TunnelError} UNANSWERED where that agent is gone for good, others where there is no path now
   */
  readonly path: (context: Context, agent: string | undefined) => OpeningPath
  /** A stream has a path again, or was given up. For logs and counters. */
  readonly onResumed?: (meta: OpenMeta, attempts: number) => void
  readonly onGivenUp?: (meta: OpenMeta, error: TunnelError) => void
  /** The target of a stream was dialled; a stream is over: null where both directions ended cleanly. */
  readonly onOpened?: (context: Context) => void
  readonly onClosed?: (context: Context, stream: Stream, error: TunnelError | null) => void
}

/**
 * The opener's side of streams that survive (docs/protocol.md section 6.5): opens them with a secret, and when a path is
 * lost looks for another until the grace time is over. The application sees a pause and nothing else.
 */
export class Resumption<Context> {
  readonly #options: ResumptionOptions<Context>
  readonly #tickets = new Set<Ticket<Context>>()
  readonly #waiting = new Set<Ticket<Context>>()

  constructor(options: ResumptionOptions<Context>) {
    this.#options = options
  }

  /** Streams without a path, or with one on which the agent has not answered. */
  get waitingCount(): number {
    return this.#waiting.size
  }

  /**
   * Opens a stream that survives where the agent agrees.
   * @throws {TunnelError} where there is no session or it takes no more streams
   */
  open(context: Context, meta: OpenMeta, handler: StreamHandler): Stream {
    const { effects, path: find } = this.#options
    const withSecret = { ...meta, secret: effects.randomBytes(SECRET_BYTES) }
    const path = find(context, undefined)
    const overheard = new Overheard<Context>(handler, this.#opened, this.#closed)
    const stream = path.session.open(encodeOpenMeta(withSecret), overheard, true)
    const ticket: Ticket<Context> = {
      context,
      stream,
      meta: withSecret,
      agent: path.agent,
      relay: path.relay,
      attempt: 0,
      failures: 0,
      error: undefined,
      cancelGrace: undefined,
      cancelRetry: undefined,
    }
    overheard.ticket = ticket
    this.#tickets.add(ticket)
    stream.onPathLost = (error) => this.#onPathLost(ticket, error)
    stream.onRouted = (agent) => {
      if (stream.isOpening) ticket.agent = agent
    }
    return stream
  }

  /** A session has come up: streams that wait for it need not wait for their turn. */
  tryNow(isMeant: (context: Context) => boolean): void {
    for (const ticket of [...this.#waiting]) {
      if (!isMeant(ticket.context)) continue
      ticket.failures = 0
      this.#try(ticket)
    }
  }

  /** Nothing will bring a path any more: ends every stream that waits for one. */
  endWaiting(error: TunnelError): void {
    for (const { stream } of [...this.#waiting]) stream.giveUp(error)
  }

  /** The opener ends: so does every stream, and the agents are told where there is a path. */
  close(error: TunnelError): void {
    for (const { stream } of [...this.#tickets]) stream.giveUp(error)
  }

  readonly #opened = (ticket: Ticket<Context>, meta: Uint8Array): void => {
    const answer = decodeOpenOkMeta(meta)
    ticket.agent = answer.agent
    if (answer.resumable !== true) ticket.stream.onPathLost = undefined
    this.#options.onOpened?.(ticket.context)
  }

  readonly #closed = (ticket: Ticket<Context>, error: TunnelError | null): void => {
    this.#stopWaiting(ticket)
    this.#tickets.delete(ticket)
    this.#options.onClosed?.(ticket.context, ticket.stream, error)
  }

  #onPathLost(ticket: Ticket<Context>, error: TunnelError): void {
    const { effects } = this.#options
    ticket.error = error
    if (this.#waiting.has(ticket)) {
      this.#retry(ticket)
      return
    }
    this.#waiting.add(ticket)
    ticket.failures = 0
    ticket.cancelGrace = effects.after(GRACE_MS.default, () => this.#giveUp(ticket))
    // Another session may stand already. Not within this call: the stream is still leaving its path.
    ticket.cancelRetry = effects.after(0, () => this.#try(ticket))
  }

  #retry(ticket: Ticket<Context>): void {
    const { effects } = this.#options
    ticket.cancelRetry?.()
    const pause = Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** Math.min(ticket.failures++, 10))
    ticket.cancelRetry = effects.after(pause * (0.5 + effects.random() / 2), () => this.#try(ticket))
  }

  #try(ticket: Ticket<Context>): void {
    const { context, stream, meta } = ticket
    if (!stream.isDetached) return
    ticket.cancelRetry?.()
    const fresh = stream.isOpening
    ticket.attempt++
    try {
      const path = this.#options.path(context, ticket.agent)
      const { attempt, agent } = ticket
      const relay = fresh ? ticket.relay : undefined
      path.session.reopen(stream, encodeOpenMeta({ ...meta, attempt, fresh, agent, relay }))
      if (!isSame(ticket.relay, path.relay)) ticket.relay = undefined
      stream.onPathFound = () => this.#onPathFound(ticket)
    } catch (error) {
      if (!isTunnelError(error)) throw error
      ticket.error = error
      if (error.code === 'UNANSWERED') this.#giveUp(ticket)
      else this.#retry(ticket)
    }
  }

  #onPathFound(ticket: Ticket<Context>): void {
    this.#stopWaiting(ticket)
    this.#options.onResumed?.(ticket.meta, ticket.attempt)
  }

  #giveUp({ stream, meta, error: cause }: Ticket<Context>): void {
    // What kept it from a path says on which leg it was lost.
    const error = new TunnelError(stream.isOpening ? 'UNANSWERED' : 'SESSION_LOST', cause?.detail ?? '', {
      cause,
      ...(cause && { leg: cause.leg }),
    })
    this.#options.onGivenUp?.(meta, error)
    stream.giveUp(error)
  }

  #stopWaiting(ticket: Ticket<Context>): void {
    this.#waiting.delete(ticket)
    ticket.cancelGrace?.()
    ticket.cancelRetry?.()
  }
}

function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one !== undefined && other !== undefined && Buffer.compare(one, other) === 0
}
