import type net from 'node:net'
import type { Effects } from '../effects.ts'
import { TunnelError } from '../errors.ts'
import type { FurtherLink } from '../mux/further-link.ts'
import type { Session } from '../mux/session.ts'
import { SessionSocket, type SessionSocketOptions } from './session-socket.ts'

/** How long a link that was lost, or could not be made, is not tried again, in ms. */
const RETRY_MS = 2_000

/**
 * Runs one more link of `session` over `socket`, until either ends. Whoever calls knows that both ends belong to the session.
 * @throws {TunnelError} of Session.join; the socket is destroyed then
 */
export function runFurtherLink(
  session: Session,
  options: Pick<SessionSocketOptions, 'isClient' | 'mask' | 'effects'> & {
    readonly socket: net.Socket
    readonly onClosed: (error: TunnelError) => void
  },
): SessionSocket {
  const { socket, effects } = options
  let link: FurtherLink
  try {
    link = session.join({ wake: () => shell.wake(), close: (error) => shell.close(error) }, effects.now())
  } catch (error) {
    socket.destroy()
    throw error
  }
  const shell: SessionSocket = new SessionSocket({ ...options, session: link })
  // Data may have waited for a link with room.
  shell.wake()
  return shell
}

export interface FurtherLinksOptions {
  readonly session: Session
  /** Opens a WebSocket that the relay takes for a link of the session. */
  readonly dial: (signal: AbortSignal) => Promise<net.Socket>
  readonly mask: 'zero' | 'random'
  readonly effects: Effects
}

/** The client's side of a session's further links: brings as many as are wanted, and closes what is too many. */
export class FurtherLinks {
  readonly #options: FurtherLinksOptions
  readonly #stop = new AbortController()
  readonly #open = new Set<SessionSocket>()
  #dialling = 0
  #wanted = 1
  #isRetrying = false

  constructor(options: FurtherLinksOptions) {
    this.#options = options
  }

  /** There should be `count` links in all, the first among them. */
  want(count: number): void {
    this.#wanted = count
    this.#work()
  }

  /** The session is over. */
  stop(): void {
    this.#stop.abort(new TunnelError('CANCELLED'))
  }

  #work(): void {
    if (this.#stop.signal.aborted) return
    if (!this.#isRetrying) while (1 + this.#open.size + this.#dialling < this.#wanted) this.#add()
    // Those that joined last go first. None has anything to say before it goes: what was out is sent again elsewhere.
    const tooMany = [...this.#open].slice(Math.max(0, this.#wanted - 1))
    for (const link of tooMany) link.close(new TunnelError('CANCELLED'))
  }

  #add(): void {
    const { session, dial, mask, effects } = this.#options
    this.#dialling++
    dial(this.#stop.signal)
      .finally(() => this.#dialling--)
      .then((socket) => {
        const link: SessionSocket = runFurtherLink(session, {
          socket,
          isClient: true,
          mask,
          effects,
          onClosed: () => {
            this.#open.delete(link)
            this.#retryLater()
          },
        })
        this.#open.add(link)
        this.#work()
      })
      // The first link goes on, and whoever wanted more will see that there are none.
      .catch(() => this.#retryLater())
  }

  #retryLater(): void {
    if (this.#isRetrying || this.#stop.signal.aborted) return
    this.#isRetrying = true
    this.#options.effects.after(RETRY_MS, () => {
      this.#isRetrying = false
      this.#work()
    })
  }
}
