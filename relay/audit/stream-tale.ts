import type { Effects } from '../../shared/effects.ts'
import type { ErrorCode } from '../../shared/errors.ts'
import type { AuditAction } from './actions.ts'
import type { Audit, AuditActor } from './record.ts'

/** A stream that lives less than this, in ms, has one record instead of two: what its OPEN would say is in the other. */
const SHORT_MS = 1_000

export interface StreamTaleOptions {
  readonly audit: Audit
  readonly effects: Pick<Effects, 'now' | 'after'>
  readonly tenantId: string
  readonly environment: string
  readonly actor: AuditActor
  /** Address of whom the stream is for. */
  readonly source: string
  /** SITE/RESOURCE, as it was asked for. */
  readonly object: string
  readonly traceId: string
  /** Of a stream that looks for a new path: how often it did. */
  readonly attempt?: number | undefined
}

/** What the audit chain hears of one stream at the relay. */
export class StreamTale {
  readonly #options: StreamTaleOptions
  /** When the target was dialled; undefined before. */
  #openedAt: number | undefined
  #cancelOpen: () => void = () => undefined

  constructor(options: StreamTaleOptions) {
    this.#options = options
  }

  /** The target was dialled. */
  opened(): void {
    const { effects } = this.#options
    this.#openedAt = effects.now()
    this.#cancelOpen = effects.after(SHORT_MS, () => {
      this.#tell('stream.open', 'OK', this.#path)
    })
  }

  /**
   * The stream is over, or has lost its path.
   * @param sent bytes towards the site
   * @param received bytes from the site
   */
  closed(outcome: ErrorCode, sent: number, received: number): void {
    this.#cancelOpen()
    if (this.#openedAt === undefined) {
      // A search for a path by somebody who may not have the stream ends here too.
      this.#tell('stream.refuse', outcome, this.#path, this.#path !== '')
      return
    }
    const ms = Math.round(this.#options.effects.now() - this.#openedAt)
    this.#tell('stream.close', outcome, `sent ${sent}, received ${received}, ${ms} ms`)
  }

  /** Which path of the stream it is about, where that is not the first. */
  get #path(): string {
    const { attempt } = this.#options
    return attempt ? `path ${attempt + 1}` : ''
  }

  #tell(action: AuditAction, outcome: ErrorCode, detail: string, mayRepeat = false): void {
    const { audit, tenantId, environment, actor, source, object, traceId } = this.#options
    audit({ action, outcome, detail, mayRepeat, tenantId, environment, actor, source, object, traceId })
  }
}
