import { type Effects, realEffects } from '../../shared/effects.ts'
import type { CheckpointJson, RecordJson } from './format.ts'
import { localSource } from './local-source.ts'
import { remoteSource } from './remote-source.ts'
import type { AuditFilter } from './store.ts'

export interface RecordsRequest {
  readonly filter: AuditFilter
  readonly order: 'oldest' | 'newest'
  /** 1 to AUDIT_PAGE_MAX. */
  readonly limit: number
  /** Goes on behind the record of this number. */
  readonly behind?: number | undefined
}

export interface RecordsPage {
  readonly items: readonly RecordJson[]
  /** The number behind which the next page begins; undefined at the end. A page may be empty and not the last. */
  readonly next: number | undefined
}

export interface ChainVerdict {
  readonly tenant: string
  readonly records: number
  readonly vouchedTo: number
  readonly holds: boolean
  readonly fault?: { readonly seq: number; readonly kind: string; readonly text: string } | undefined
}

/** Where the audit commands read chains: the data directory of a relay, or the API of another one. */
export interface AuditSource extends AsyncDisposable {
  /** Which of them `audit verify` looks at where none is named. */
  chains(): Promise<readonly string[]>
  /** @throws {TunnelError} NOT_FOUND where there is no such chain; as are all below */
  page(chain: string, request: RecordsRequest): Promise<RecordsPage>
  /** The records that come after a number, or from now on, as they are written. Ends by throwing only. */
  follow(chain: string, filter: AuditFilter, after: number | undefined): AsyncIterable<RecordJson>
  verify(chain: string, witnessed: CheckpointJson | undefined): Promise<ChainVerdict>
  checkpoint(chain: string): Promise<CheckpointJson>
}

export interface SourceOptions {
  /** Data directory of a relay. */
  readonly data: string
  /** `https://HOST[:PORT]` of a relay that is asked over its API instead. */
  readonly relay?: string | undefined
  readonly signal: AbortSignal
  /** For tests. */
  readonly effects?: Pick<Effects, 'sleep'>
}

/** @throws {TunnelError} NOT_FOUND where no relay has its data there; USAGE where the relay's name has no right form */
export async function openSource(options: SourceOptions): Promise<AuditSource> {
  const { data, relay, signal, effects = realEffects } = options
  return relay === undefined
    ? localSource(data, { effects, signal })
    : remoteSource(relay, { effects, signal })
}
