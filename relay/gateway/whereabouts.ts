import type { Effects } from '../../shared/effects.ts'
import { type ErrorCode, TunnelError } from '../../shared/errors.ts'
import type { OpenMeta } from '../../shared/handshake/open.ts'
import { isReattach, type OpenFrame } from '../../shared/mux/session-handler.ts'
import { GRACE_MS } from '../../shared/tunnel/resumption.ts'
import type { SitePlace } from '../store/store.ts'

/**
 * How long a route that is over is remembered, in ms: its opener may notice later than the relay, by a PING without an
 * answer, and looks for a path for its grace time.
 */
const KEEP_MS = GRACE_MS.max + 60_000

/** Most routes that are over and remembered. */
const MAX_OVER = 32_768

/** Ends of a route that its opener may not have heard of, so that an answer before may have been lost as well. */
const UNHEARD: ReadonlySet<ErrorCode> = new Set(['SESSION_LOST', 'REVOKED', 'EXPIRED', 'CANCELLED'])

/** That the OPEN of a stream went to an agent. */
export interface Sent {
  readonly key: string
  readonly agent: string
}

export interface WhereaboutsOptions {
  readonly effects: Pick<Effects, 'now'>
  /** The name of this run of the relay. */
  readonly instance: Uint8Array
  /** How many agents a site has that are not revoked, connected or not. */
  readonly countAgents: (place: SitePlace) => Promise<number>
}

/**
 * Which agent each connector's stream was sent to, from its OPEN until nobody asks any more: an OPEN whose answer was lost
 * must not be dialled a second time by another agent (docs/protocol.md section 6.5).
 */
export class Whereabouts {
  readonly #options: WhereaboutsOptions
  /** By secret, as latin1. */
  readonly #living = new Map<string, Sent>()
  /** The same with the time until which it is kept; the oldest first. */
  readonly #over = new Map<string, { readonly sent: Sent; readonly until: number }>()
  /** When one had to be forgotten before its time. */
  #forgotAt = Number.NEGATIVE_INFINITY

  constructor(options: WhereaboutsOptions) {
    this.#options = options
  }

  /** Remembers that an OPEN goes to an agent; pass what comes back to `ended`. */
  sent(secret: Uint8Array, agent: string): Sent {
    const sent = { key: keyOf(secret), agent }
    this.#over.delete(sent.key)
    this.#living.set(sent.key, sent)
    return sent
  }

  /** The route of that OPEN is over: forgotten where its opener needs no second answer. */
  ended(sent: Sent, code: ErrorCode, isAccepted: boolean): void {
    // The stream has gone on by another route.
    if (this.#living.get(sent.key) !== sent) return
    this.#living.delete(sent.key)
    if (code === 'OK' || !(isAccepted || UNHEARD.has(code))) return
    const now = this.#options.effects.now()
    this.#over.set(sent.key, { sent, until: now + KEEP_MS })
    for (const [key, { until }] of this.#over) {
      const isTooMany = this.#over.size > MAX_OVER
      if (until > now && !isTooMany) return
      if (until > now) this.#forgotAt = now
      this.#over.delete(key)
    }
  }

  /**
   * To be asked before `agentFor`, which must not wait.
   * @throws {TunnelError} UNANSWERED where nobody knows to which of several agents an OPEN of the stream went
   */
  async check(frame: OpenFrame, { agent, fresh, secret, relay }: OpenMeta, place: SitePlace): Promise<void> {
    if (!isReattach(frame) || fresh !== true || secret === undefined || agent !== undefined) return
    if (this.#find(secret) !== undefined || this.#knowsAllOf(relay)) return
    // A single agent knows its streams by their secret.
    if ((await this.#options.countAgents(place)) > 1) {
      throw new TunnelError('UNANSWERED', 'several agents may have been asked')
    }
  }

  /**
   * The agent that an OPEN has to go to; undefined: any.
   * @throws {TunnelError} PROTOCOL for an OPEN that comes late, after a search for a path that followed it
   */
  agentFor(frame: OpenFrame, { agent, fresh, secret }: OpenMeta): string | undefined {
    const known = secret === undefined ? undefined : this.#find(secret)
    if (known !== undefined && !isReattach(frame))
      throw new TunnelError('PROTOCOL', 'a secret that is in use')
    return fresh === true ? (known ?? agent) : agent
  }

  #find(secret: Uint8Array): string | undefined {
    const key = keyOf(secret)
    return (this.#living.get(key) ?? this.#over.get(key)?.sent)?.agent
  }

  /** True where what that relay process was asked, and nobody else, is found here, or never went to an agent. */
  #knowsAllOf(relay: Uint8Array | undefined): boolean {
    const { effects, instance } = this.#options
    if (relay === undefined || Buffer.compare(relay, instance) !== 0) return false
    return effects.now() - this.#forgotAt > KEEP_MS
  }
}

function keyOf(secret: Uint8Array): string {
  return Buffer.from(secret).toString('latin1')
}
