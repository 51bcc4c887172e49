import type { Effects } from '../shared/effects.ts'
import type { ErrorCode, TunnelError } from '../shared/errors.ts'
import type { OpenMeta } from '../shared/handshake/open.ts'
import type { Logger } from '../shared/log.ts'
import { deniedEvent, moreDeniedEvent } from './audit/events.ts'
import type { AgentAudit } from './audit/trail.ts'

/** So many refusals within so many ms stand in log and chain one by one; the rest as a number for each reason. */
export const DENIAL_LIMITS = { intervalMs: 60_000, each: 20 } as const

export interface DenialsOptions {
  readonly effects: Pick<Effects, 'after'>
  readonly log: Logger
  readonly audit: AgentAudit
}

interface Counted {
  readonly code: ErrorCode
  readonly reason: string | undefined
  count: number
}

/**
 * Puts on record what the relay asked for and did not get. It may ask 160,000 times a second: one line for each would fill
 * the disk, and push out of the chain what it did before.
 */
export class Denials {
  readonly #options: DenialsOptions
  readonly #counted = new Map<string, Counted>()
  #inInterval = 0
  #bySite = 0
  #cancel: (() => void) | undefined

  constructor(options: DenialsOptions) {
    this.#options = options
  }

  /** OPENs that the rules refused since the start. */
  get bySite(): number {
    return this.#bySite
  }

  /** An OPEN was refused with `error`, whose cause may be a word of ours that says more and goes to no peer. */
  note(meta: OpenMeta, error: TunnelError): void {
    const { code } = error
    const reason = typeof error.cause === 'string' ? error.cause : undefined
    if (code === 'DENIED_BY_SITE') this.#bySite++
    this.#cancel ??= this.#options.effects.after(DENIAL_LIMITS.intervalMs, () => this.flush())
    this.#inInterval++
    if (this.#inInterval <= DENIAL_LIMITS.each) {
      this.#options.audit(deniedEvent(meta, error))
      this.#options.log.warn({ ...meta, secret: undefined, code, reason }, 'stream denied')
      return
    }
    const key = `${code} ${reason}`
    const counted = this.#counted.get(key)
    if (counted === undefined) this.#counted.set(key, { code, reason, count: 1 })
    else counted.count++
  }

  /** Tells what was only counted, and begins anew. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#inInterval = 0
    for (const { code, reason, count } of this.#counted.values()) {
      this.#options.audit(moreDeniedEvent(count, code, reason))
      this.#options.log.warn({ code, reason, count }, 'more streams denied')
    }
    this.#counted.clear()
  }
}
