import type { Effects } from '../../shared/effects.ts'
import type { AuditRecord } from './record.ts'
import type { AuditFilter, AuditStore } from './store.ts'

/** How long a follower that has seen everything waits before it looks again, in ms. */
const LOOK_MS = 500

export interface FollowOptions {
  readonly store: Pick<AuditStore, 'readAudit' | 'auditHead'>
  readonly effects: Pick<Effects, 'sleep'>
  readonly tenantId: string
  /** The number of the last record that was seen. */
  readonly after: number
  readonly filter?: AuditFilter
  /** Records in a step at most, 1 to 1,000. */
  readonly limit: number
  readonly signal: AbortSignal
}

export interface FollowStep {
  /** Oldest first; empty where nothing came. */
  readonly records: readonly AuditRecord[]
  /** Everything up to this number was looked at: where to go on. */
  readonly position: number
}

/**
 * Gives the records of a chain as they come, each once and in order. The chain itself is the queue: who is slow holds one page,
 * and misses nothing.
 * @throws the signal's reason when it aborts; {@link TunnelError} STORE
 */
export async function* followChain(options: FollowOptions): AsyncGenerator<FollowStep, never> {
  const { store, effects, tenantId, filter = {}, limit, signal } = options
  let position = options.after
  for (;;) {
    signal.throwIfAborted()
    const head = (await store.auditHead(tenantId)).seq
    // A chain that was restored from a backup is shorter than what was seen of it: what comes now is new.
    if (head < position) position = head
    if (head === position) {
      yield { records: [], position }
      await effects.sleep(LOOK_MS, signal)
      continue
    }
    const page = await store.readAudit(tenantId, { order: 'oldest', limit, cursor: position, filter })
    position = page.next ?? Math.max(head, page.records.at(-1)?.seq ?? 0)
    yield { records: page.records, position }
  }
}
