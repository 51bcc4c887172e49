import type { AuditEvent } from './record.ts'

/** Most events that are remembered; beyond, the oldest are forgotten, and would be written again. */
const REMEMBERED_MAX = 10_000

/** Remembers events that may come again and again, so that they are written once for each stream and code. */
export class RecentEvents {
  /** In the order in which they came. */
  readonly #seen = new Set<string>()

  /** @returns false where the same happened before, to the same by the same */
  add({ tenantId, environment, actor, action, object, outcome, traceId }: AuditEvent): boolean {
    const key = JSON.stringify([
      tenantId,
      environment,
      actor.kind,
      actor.id,
      action,
      object,
      outcome,
      traceId,
    ])
    if (this.#seen.has(key)) return false
    this.#seen.add(key)
    if (this.#seen.size > REMEMBERED_MAX) {
      for (const oldest of this.#seen) {
        this.#seen.delete(oldest)
        break
      }
    }
    return true
  }
}
