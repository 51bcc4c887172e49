import { type ErrorCode, TunnelError, wireFromCode } from '../errors.ts'
import { encodeControl } from './encode.ts'
import { FLAG, INITIAL_CREDIT } from './frame.ts'
import { RouteLeg } from './route-leg.ts'
import type { Session } from './session.ts'
import type { OpenFrame } from './session-handler.ts'

/** What a route tells the relay that made it. */
export interface RouteObserver {
  /** The agent answered; `meta` is the CBOR of OPEN_OK. */
  accepted(): void
  /** The route is over, once. `code` is that of the RESET that ended it, OK where both directions ended. */
  ended(code: number, bytesToAgent: number, bytesFromAgent: number): void
}

/**
 * A stream as the relay sees it: two ids on two sessions and the frames between them, passed on untouched but for the id
 * (docs/protocol.md section 6.4). It holds no stream state of its own: credit goes from end to end, so what waits here is
 * never more than the far end granted, and a sender that passes its grant is reset.
 */
export class Route {
  readonly #from: RouteLeg
  #to: RouteLeg | undefined
  readonly #observer: RouteObserver
  readonly #isResumable: boolean
  #isOver = false
  #isAccepted = false
  #finsSeen = 0

  /** Takes an OPEN from `session`; nothing goes on before `forward`. */
  constructor(session: Session, frame: OpenFrame, observer: RouteObserver) {
    this.#observer = observer
    this.#isResumable = (frame.flags & FLAG.RESUMABLE) !== 0
    this.#from = new RouteLeg(session, frame.id, this, INITIAL_CREDIT)
    session.place(frame.id, this.#from)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /**
   * Opens the stream on the agent's session with what `frame` said and the relay's own `meta`, and passes on what has come.
   * @throws {TunnelError} of `takeId`; the caller refuses the route with it
   */
  forward(
    session: Session,
    frame: Pick<OpenFrame, 'maxOffset' | 'priority' | 'hops' | 'flags'>,
    meta: Uint8Array,
  ): void {
    const id = session.takeId()
    const to = new RouteLeg(session, id, this, frame.maxOffset)
    this.#to = to
    session.place(id, to)
    session.control(
      encodeControl({
        type: 'OPEN',
        id,
        flags: frame.flags,
        maxOffset: frame.maxOffset,
        priority: frame.priority,
        hops: frame.hops + 1,
        meta,
        earlyData: NO_BYTES,
      }),
    )
    for (const piece of this.#from.takeEarly()) to.pass(piece)
  }

  /** Tells the opener which agent its OPEN went to, before that answers. */
  tellRouted(agent: string): void {
    this.#from.sendRouted(agent)
  }

  /** Ends the route from here, towards both sides. */
  end(code: ErrorCode, detail = ''): void {
    if (this.#isOver) return
    for (const leg of [this.#from, this.#to]) leg?.sendReset(wireFromCode(code), detail)
    this.over(wireFromCode(code))
  }

  /** One side's session is gone, perhaps for good: the other side's end waits for a new path where it can. */
  lost(leg: RouteLeg, error: TunnelError, isFinal: boolean): void {
    const peer = this.peerOf(leg)
    if (this.#isResumable && !isFinal) peer?.sendPathLost()
    else peer?.sendReset(wireFromCode(error.code), error.detail)
    this.over(wireFromCode(error.code))
  }

  /** The other leg; undefined before `forward`. */
  peerOf(leg: RouteLeg): RouteLeg | undefined {
    return leg === this.#from ? this.#to : this.#from
  }

  accepted(leg: RouteLeg): void {
    if (leg === this.#from) throw new TunnelError('PROTOCOL', 'OPEN_OK from the opener')
    if (this.#isAccepted) throw new TunnelError('PROTOCOL', 'a second OPEN_OK')
    this.#isAccepted = true
    this.#observer.accepted()
  }

  /** A direction was acknowledged to its end; after both, nothing will come any more. */
  finished(): void {
    this.#finsSeen++
    if (this.#finsSeen === 2) this.over(0)
  }

  over(code: number): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#from.leave()
    this.#to?.leave()
    this.#observer.ended(code, this.#from.highest, this.#to?.highest ?? 0)
  }
}

const NO_BYTES = new Uint8Array(0)
