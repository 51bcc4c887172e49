import type { Effects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import type { OpenMeta } from '../shared/handshake/open.ts'
import type { Logger } from '../shared/log.ts'
import type { Stream } from '../shared/mux/stream.ts'
import { GRACE_MS } from '../shared/tunnel/resumption.ts'

/** Secrets of streams that ended well are remembered: the last word may have been lost with the path. */
const MAX_ENDED = 4_096

/** A stream that may come back on another path. */
interface Kept {
  readonly stream: Stream
  readonly resource: string
  readonly opener: string
  /** The last number with which its opener asked for a path; each is taken once. */
  attempt: number
  cancelGrace: (() => void) | undefined
}

/** The agent's side of streams that survive (docs/protocol.md section 6.5): who owns which, and for how long it waits. */
export class KeptStreams {
  readonly #effects: Effects
  readonly #log: Logger
  /** By secret, in hexadecimal. */
  readonly #kept = new Map<string, Kept>()
  readonly #ended = new Set<string>()

  constructor(effects: Effects, log: Logger) {
    this.#effects = effects
    this.#log = log
  }

  /** Streams without a path. */
  get waitingCount(): number {
    let count = 0
    for (const { stream } of this.#kept.values()) if (stream.isDetached) count++
    return count
  }

  /** Keeps the stream when it loses its path. @throws {TunnelError} PROTOCOL where its secret is in use */
  keep(stream: Stream, meta: OpenMeta): void {
    const key = keyOf(meta)
    if (key === undefined) return
    if (this.#kept.has(key)) throw new TunnelError('PROTOCOL', 'a secret that is in use')
    const { resource, opener = '', trace } = meta
    const kept: Kept = { stream, resource, opener, attempt: meta.attempt ?? 0, cancelGrace: undefined }
    this.#kept.set(key, kept)
    stream.onPathLost = ({ detail }) => {
      this.#log.info({ resource, trace, detail }, 'stream lost its path')
      kept.cancelGrace?.()
      kept.cancelGrace = this.#effects.after(GRACE_MS.default, () => {
        stream.giveUp(new TunnelError('SESSION_LOST', 'no new path came in time'))
      })
    }
  }

  /**
   * The stream that an OPEN with REATTACH is for; undefined where it should be opened anew. `isAllowed` asks the rules once
   * more.
   * @throws {TunnelError} GONE; DENIED_BY_SITE for a second claimant or where the rules have changed; OK where the stream
   * had ended well
   */
  claim(meta: OpenMeta, isAllowed: (stream: Stream) => boolean): Stream | undefined {
    const key = keyOf(meta) ?? ''
    const kept = this.#kept.get(key)
    if (kept === undefined) {
      if (this.#ended.has(key)) throw new TunnelError('OK')
      if (meta.fresh === true) return undefined
      throw new TunnelError('GONE')
    }
    const { resource, trace, attempt = 0 } = meta
    const isOwner = kept.opener === meta.opener && kept.resource === resource
    if (!isOwner || attempt <= kept.attempt || !isAllowed(kept.stream)) {
      this.#log.warn({ resource, trace, opener: meta.opener, isOwner, attempt }, 'claim on a stream refused')
      throw new TunnelError('DENIED_BY_SITE')
    }
    kept.attempt = attempt
    kept.cancelGrace?.()
    this.#log.info({ resource, trace, attempt }, 'stream resumed')
    return kept.stream
  }

  /** The stream is over. */
  forget(meta: OpenMeta, hasEndedWell: boolean): void {
    const key = keyOf(meta)
    if (key === undefined) return
    this.#kept.get(key)?.cancelGrace?.()
    if (!this.#kept.delete(key) || !hasEndedWell) return
    this.#ended.add(key)
    const [oldest] = this.#ended.size > MAX_ENDED ? this.#ended : []
    if (oldest !== undefined) this.#ended.delete(oldest)
  }

  /** The agent ends, and with it every stream that waits. */
  close(): void {
    for (const { stream } of [...this.#kept.values()]) {
      if (stream.isDetached) stream.giveUp(new TunnelError('DRAINING'))
    }
  }
}

function keyOf(meta: OpenMeta): string | undefined {
  return meta.secret === undefined ? undefined : Buffer.from(meta.secret).toString('hex')
}
