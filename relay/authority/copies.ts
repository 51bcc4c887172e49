import type { Effects } from '../../shared/effects.ts'

/** What a tenant wants done about an agent of which there are two: the alarm alone, or its site stopped as well. */
export const COPY_RESPONSES = ['alarm', 'freeze'] as const

export type CopyResponse = (typeof COPY_RESPONSES)[number]

/**
 * How it showed. `certificate`: one came that was replaced long ago. `process`: one that had made room for another came
 * back, so both run.
 */
export type CopySign = 'certificate' | 'process'

/** An agent and its place. */
export interface CopiedAgent {
  readonly tenantId: string
  readonly environment: string
  readonly site: string
  readonly id: string
}

/** An agent of which there seem to be two. */
export interface Copy {
  readonly agent: CopiedAgent
  readonly sign: CopySign
  /** Addresses from which it came when it showed, the last one last. */
  readonly sources: readonly string[]
  /** First and last time that it showed, in ms since 1970. */
  readonly since: number
  readonly last: number
}

/**
 * A connection that began before another renewed, or before its process ended, has come or failed after so many ms: what
 * comes later with the old certificate or from the old process is another one.
 */
const STRAGGLER_MS = { certificate: 120_000, process: 15_000 } as const

/** The alarm is given again for the same agent after so many ms. */
const QUIET_MS = 600_000

/** What has not shown for so many ms is shown no more. */
const SHOWN_MS = 24 * 3_600_000

/** Agents and, of each, processes that are remembered; the oldest are forgotten. */
const MAX_AGENTS = 10_000
const MAX_PROCESSES = 8
const MAX_SOURCES = 4

/** A process at the other end of a session. */
export interface Process {
  /** Its nonce. */
  readonly instance: string
  readonly sourceAddress: string
}

/** A certificate of an agent that is not its present one, and the record of the agent. */
export interface StaleCertificate {
  /** In ms since 1970. */
  readonly notAfter: number
  readonly source: string
  readonly current: { readonly notAfter: number; readonly renewedAt: number }
}

/** Notices that one identity is used by two (S14). It keeps what it saw in memory, with limits. */
export class Copies {
  readonly #effects: Pick<Effects, 'now' | 'date'>
  readonly #found = new Map<string, Copy>()
  readonly #told = new Map<string, number>()
  /** Processes that made room for another, and when, by agent. */
  readonly #superseded = new Map<string, Map<string, number>>()
  #tell: (copy: Copy) => void = () => undefined

  constructor(effects: Pick<Effects, 'now' | 'date'>) {
    this.#effects = effects
  }

  /** Says who gives the alarm; at most every ten minutes for the same agent. */
  onFound(tell: (copy: Copy) => void): void {
    this.#tell = tell
  }

  /** A session of one process took the place of another's. */
  replaced(agent: CopiedAgent, old: Process, next: Process): void {
    const key = keyOf(agent)
    const processes = this.#superseded.get(key) ?? new Map<string, number>()
    const now = this.#effects.now()
    const since = processes.get(next.instance)
    const isBack = since !== undefined && now - since >= STRAGGLER_MS.process
    put(processes, old.instance, now, MAX_PROCESSES)
    put(this.#superseded, key, processes, MAX_AGENTS)
    if (isBack) this.#note(agent, 'process', [old.sourceAddress, next.sourceAddress])
  }

  /**
   * A certificate came that was replaced. One that ends later than the present one is no sign: then the relay's own store is
   * from before.
   */
  stale(agent: CopiedAgent, { notAfter, source, current }: StaleCertificate): void {
    const isOlder = notAfter < current.notAfter
    if (isOlder && this.#effects.date() - current.renewedAt >= STRAGGLER_MS.certificate)
      this.#note(agent, 'certificate', [source])
  }

  /** The agent is revoked: neither of the two is anybody any more. */
  forget(agent: Pick<CopiedAgent, 'tenantId' | 'id'>): void {
    const key = keyOf(agent)
    for (const map of [this.#found, this.#told, this.#superseded]) map.delete(key)
  }

  /** Those of the last 24 hours. */
  list(): readonly Copy[] {
    const from = this.#effects.date() - SHOWN_MS
    return [...this.#found.values()].filter(({ last }) => last >= from)
  }

  #note({ tenantId, environment, site, id }: CopiedAgent, sign: CopySign, sources: readonly string[]): void {
    const agent = { tenantId, environment, site, id }
    const key = keyOf(agent)
    const last = this.#effects.date()
    const before = this.#found.get(key)
    const all = [...new Set([...(before?.sources ?? []), ...sources].reverse())].reverse().slice(-MAX_SOURCES)
    const copy = { agent, sign, sources: all, since: before?.since ?? last, last }
    put(this.#found, key, copy, MAX_AGENTS)
    const now = this.#effects.now()
    const told = this.#told.get(key)
    if (told !== undefined && now - told < QUIET_MS) return
    put(this.#told, key, now, MAX_AGENTS)
    this.#tell(copy)
  }
}

/** Puts at the end, so that the first is the oldest. */
function put<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > most && oldest !== undefined) map.delete(oldest)
}

function keyOf({ tenantId, id }: Pick<CopiedAgent, 'tenantId' | 'id'>): string {
  return `${tenantId}/${id}`
}
