import { TunnelError } from '../errors.ts'
import { FurtherLink, type FurtherLinkShell } from './further-link.ts'
import type { Link } from './link.ts'
import { LinkGrowth, MAX_LINKS } from './link-growth.ts'
import { Scheduler } from './scheduler.ts'

export interface LinksOptions {
  /** The session's first link. */
  readonly first: () => Link
  /** DATA came on a further link. */
  readonly data: (id: number, flags: number, offset: number, bytes: Uint8Array, now: number) => void
  /** A further link is gone, with bytes of these streams perhaps. */
  readonly lost: (carried: Iterable<number>) => void
  /** The number of links that there should be changed. */
  readonly wanted: (count: number) => void
}

/** The links of a session beside the first, what all of them send from, and how many there should be. */
export class Links {
  readonly scheduler = new Scheduler(() => this.#options.first().rttMs)
  readonly #options: LinksOptions
  readonly #growth = new LinkGrowth()
  readonly #further = new Set<FurtherLink>()
  #acknowledgedByLost = 0
  #stallsOfLost = 0
  #wantedHere = 1
  #wantedByPeer = 1

  constructor(options: LinksOptions) {
    this.#options = options
  }

  /** Links there are, the first among them. */
  get count(): number {
    return 1 + this.#further.size
  }

  /** Links there should be, by either end's wish; 1 to 16. */
  get wanted(): number {
    return Math.max(this.#wantedHere, this.#wantedByPeer)
  }

  /** Monotonic ms of the next `tick`. */
  get deadline(): number {
    return this.#growth.deadline
  }

  /** @throws {TunnelError} OVERLOADED where there are as many as there may be */
  join(shell: FurtherLinkShell, pingIntervalMs: number, now: number): FurtherLink {
    if (this.count >= MAX_LINKS) throw new TunnelError('OVERLOADED', `${MAX_LINKS} links on this session`)
    const link = new FurtherLink({
      scheduler: this.scheduler,
      shell,
      pingIntervalMs,
      now,
      data: this.#options.data,
      lost: (lost, carried) => {
        this.#further.delete(lost)
        this.scheduler.hasFurtherLinks = this.#further.size > 0
        this.#acknowledgedByLost += lost.link.inFlight.acknowledgedBytes
        this.#stallsOfLost += lost.link.inFlight.stalls
        this.#options.lost(carried)
      },
    })
    this.#further.add(link)
    this.scheduler.hasFurtherLinks = true
    return link
  }

  /** There is data to send. */
  wake(): void {
    for (const link of this.#further) link.wake()
  }

  /** The first link took what it had room for. */
  transmitted(now: number): void {
    if (!this.scheduler.isEmpty) this.#growth.waiting(now)
  }

  /** Time has passed. */
  tick(now: number): void {
    if (now < this.#growth.deadline) return
    const { inFlight } = this.#options.first()
    let acknowledged = inFlight.acknowledgedBytes + this.#acknowledgedByLost
    let stalls = inFlight.stalls + this.#stallsOfLost
    for (const { link } of this.#further) {
      acknowledged += link.inFlight.acknowledgedBytes
      stalls += link.inFlight.stalls
    }
    this.#growth.look(now, { acknowledged, stalls, links: this.count })
    if (this.#growth.wanted === this.#wantedHere) return
    this.#wantedHere = this.#growth.wanted
    this.#options.wanted(this.#wantedHere)
  }

  /** The peer would like so many links. */
  peerWants(count: number): void {
    this.#wantedByPeer = Math.max(1, Math.min(MAX_LINKS, count))
  }

  /** The session is over. */
  end(error: TunnelError): void {
    for (const link of [...this.#further]) link.end(error)
  }
}
