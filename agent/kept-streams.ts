import type { Effects } from '../shared/effects.ts'
import { type ErrorCode, errorEntry, isTunnelError, TunnelError } from '../shared/errors.ts'
import type { OpenMeta } from '../shared/handshake/open.ts'
import type { Logger } from '../shared/log.ts'
import { Ring } from '../shared/mux/ring.ts'
import type { Stream } from '../shared/mux/stream.ts'
import { type ResumeSummary, ResumeTally } from '../shared/tunnel/resume-tally.ts'
import { GRACE_MS } from '../shared/tunnel/resumption.ts'

/** Secrets of streams that are over are remembered: the last word may have been lost with the path. */
const MAX_ENDED = 4_096

/** A stream that has a secret. */
interface Kept {
  readonly stream: Stream
  /** False: the rules of the site let it end with its path. */
  readonly mayResume: boolean
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
  readonly #tally: ResumeTally
  /** By secret, in hexadecimal. */
  readonly #kept = new Map<string, Kept>()
  /** What a search for a path is told of a stream that reached its target and is over, by secret. */
  readonly #ended = new Map<string, ErrorCode>()
  /** The secrets of these in the order in which they ended: a Map from which the first is taken again and again is slow. */
  readonly #endedOrder = new Ring<string>()

  constructor(effects: Effects, log: Logger) {
    this.#effects = effects
    this.#log = log
    this.#tally = new ResumeTally(effects)
  }

  /** What became of the searches for a path. */
  get resumes(): ResumeSummary {
    return this.#tally.summary()
  }

  /** Streams without a path. */
  get waitingCount(): number {
    let count = 0
    for (const { stream } of this.#kept.values()) if (stream.isDetached) count++
    return count
  }

  /**
   * An OPEN that asks for a new stream: one that comes late, after the search for a path that followed it, must not dial
   * again.
   * @throws {TunnelError} PROTOCOL where its secret is or was in use
   */
  checkNew(meta: OpenMeta): undefined {
    const key = keyOf(meta)
    if (key !== undefined && (this.#kept.has(key) || this.#ended.has(key))) {
      throw new TunnelError('PROTOCOL', 'a secret that is in use')
    }
  }

  /** Knows the stream from now on, and keeps it when it loses its path where it may resume. */
  keep(stream: Stream, meta: OpenMeta, mayResume: boolean): void {
    const key = keyOf(meta)
    if (key === undefined) return
    const { resource, opener = '', trace } = meta
    const kept: Kept = {
      stream,
      mayResume,
      resource,
      opener,
      attempt: meta.attempt ?? 0,
      cancelGrace: undefined,
    }
    this.#kept.set(key, kept)
    if (!mayResume) return
    stream.onPathLost = ({ detail }) => {
      this.#log.info({ resource, trace, detail }, 'stream lost its path')
      kept.cancelGrace?.()
      kept.cancelGrace = this.#effects.after(GRACE_MS.default, () => {
        this.#tally.note('SESSION_LOST')
        stream.giveUp(new TunnelError('SESSION_LOST', 'no new path came in time'))
      })
    }
  }

  /**
   * The stream that an OPEN with REATTACH is for; undefined where it should be opened anew. `isAllowed` asks the rules once
   * more.
   * @throws {TunnelError} DENIED_BY_SITE for a second claimant or where the rules have changed; GONE; how the stream ended
   * where it is over, OK included
   */
  claim(meta: OpenMeta, isAllowed: (stream: Stream) => boolean): Stream | undefined {
    try {
      const stream = this.#claimed(meta, isAllowed)
      this.#tally.note('OK')
      return stream
    } catch (error) {
      this.#tally.note(isTunnelError(error) ? error.code : 'INTERNAL')
      throw error
    }
  }

  #claimed(meta: OpenMeta, isAllowed: (stream: Stream) => boolean): Stream | undefined {
    const key = keyOf(meta) ?? ''
    const kept = this.#kept.get(key)
    if (kept === undefined) {
      const code = this.#ended.get(key)
      if (code !== undefined) throw new TunnelError(code)
      if (meta.fresh === true) return undefined
      throw new TunnelError('GONE')
    }
    const { resource, trace, attempt = 0 } = meta
    const isOwner = kept.opener === meta.opener && kept.resource === resource
    if (!isOwner) throw new TunnelError('DENIED_BY_SITE', '', { cause: 'claim-of-another' })
    if (attempt <= kept.attempt) throw new TunnelError('DENIED_BY_SITE', '', { cause: 'claimed-before' })
    if (!isAllowed(kept.stream)) throw new TunnelError('DENIED_BY_SITE', '', { cause: 'rules-changed' })
    if (!kept.mayResume) throw new TunnelError('GONE')
    kept.attempt = attempt
    kept.cancelGrace?.()
    this.#log.info({ resource, trace, attempt }, 'stream resumed')
    return kept.stream
  }

  /** The stream of `meta` is over. `isReached`: bytes may have come to its target, so it must not be opened again. */
  ended(stream: Stream, meta: OpenMeta, { error, isReached }: StreamEnd): void {
    const key = keyOf(meta)
    const kept = key === undefined ? undefined : this.#kept.get(key)
    if (key === undefined || kept?.stream !== stream) return
    kept.cancelGrace?.()
    this.#kept.delete(key)
    if (!isReached) return
    this.#ended.set(key, answerAfter(error))
    this.#endedOrder.push(key)
    const oldest = this.#endedOrder.length > MAX_ENDED ? this.#endedOrder.shift() : undefined
    if (oldest !== undefined) this.#ended.delete(oldest)
  }

  /** No path comes back: ends every stream that waits for one. */
  close(error: TunnelError): void {
    for (const { stream } of [...this.#kept.values()]) {
      if (stream.isDetached) stream.giveUp(error)
    }
  }
}

/** How a stream ended: null where both directions ended cleanly. */
export interface StreamEnd {
  readonly error: TunnelError | null
  readonly isReached: boolean
}

/** What is said of a stream that ended so: never a code that invites to open it again. */
function answerAfter(error: TunnelError | null): ErrorCode {
  if (error === null) return 'OK'
  return errorEntry(error.code).retryable ? 'GONE' : error.code
}

function keyOf(meta: OpenMeta): string | undefined {
  return meta.secret === undefined ? undefined : Buffer.from(meta.secret).toString('hex')
}
