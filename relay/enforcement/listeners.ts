/**
 * Answers of the API that are written while they are made, such as live events. Each is looked at again from time to time, and
 * at once after a change that may have taken it away from its listener.
 */
export class Listeners {
  readonly #byTenant = new Map<string, Set<() => Promise<void>>>()

  /** @param check ends the answer where its listener may hear no more; never rejects. @returns forgets it */
  add(tenantId: string, check: () => Promise<void>): () => void {
    const peers = this.#byTenant.get(tenantId) ?? new Set()
    this.#byTenant.set(tenantId, peers.add(check))
    return () => {
      peers.delete(check)
      if (peers.size === 0 && this.#byTenant.get(tenantId) === peers) this.#byTenant.delete(tenantId)
    }
  }

  /** Looks at all of a tenant, one after the other. To be called when a session or key has ended, or a role is gone. */
  async check(tenantId: string): Promise<void> {
    for (const check of [...(this.#byTenant.get(tenantId) ?? [])]) await check()
  }
}
