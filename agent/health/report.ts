import type { Effects } from '../../shared/effects.ts'
import {
  type AgentCondition,
  encodeConditions,
  encodeHealth,
  type HealthReport,
} from '../../shared/handshake/health.ts'
import type { Session } from '../../shared/mux/session.ts'

/** Changes go out at once, but no more often than this, in ms. */
const REPORT_MS = 1_000

/** Most targets of one report of changes: with the longest texts less than the NOTICEs that a relay takes in a second. */
const MAX_CHANGES = 100

export interface HealthReporterOptions {
  readonly effects: Pick<Effects, 'now' | 'after'>
  /** What may leave the site about these targets; without them about all. */
  readonly reports: (resources?: Iterable<string>) => readonly HealthReport[]
  /** What holds for the whole agent. */
  readonly conditions: () => readonly AgentCondition[]
}

/** Tells every relay that the agent is connected to how its targets are: all at the start, then what changes. */
export class HealthReporter implements Disposable {
  readonly #options: HealthReporterOptions
  readonly #sessions = new Set<Pick<Session, 'sendNotice'>>()
  readonly #pending = new Set<string>()
  #isConditionPending = false
  #sentAt = Number.NEGATIVE_INFINITY
  #cancelTimer: (() => void) | undefined

  constructor(options: HealthReporterOptions) {
    this.#options = options
  }

  /** A session has greeted. */
  begin(session: Pick<Session, 'sendNotice'>): void {
    this.#sessions.add(session)
    this.#send([session], this.#options.reports())
    const conditions = this.#options.conditions()
    if (conditions.length > 0) session.sendNotice(encodeConditions(conditions))
  }

  end(session: Pick<Session, 'sendNotice'>): void {
    this.#sessions.delete(session)
  }

  changed(resources: readonly string[]): void {
    for (const resource of resources) this.#pending.add(resource)
    this.#plan()
  }

  conditionChanged(): void {
    this.#isConditionPending = true
    this.#plan()
  }

  [Symbol.dispose](): void {
    this.#cancelTimer?.()
    this.#sessions.clear()
  }

  #plan(): void {
    const isIdle = this.#pending.size === 0 && !this.#isConditionPending
    if (isIdle || this.#cancelTimer !== undefined) return
    const { effects } = this.#options
    const waitMs = Math.max(0, this.#sentAt + REPORT_MS - effects.now())
    this.#cancelTimer = effects.after(waitMs, () => {
      this.#cancelTimer = undefined
      this.#sentAt = effects.now()
      const resources = [...this.#pending].slice(0, MAX_CHANGES)
      for (const resource of resources) this.#pending.delete(resource)
      this.#send(this.#sessions, this.#options.reports(resources))
      if (this.#isConditionPending) this.#sendConditions()
      this.#plan()
    })
  }

  #sendConditions(): void {
    this.#isConditionPending = false
    const notice = encodeConditions(this.#options.conditions())
    for (const session of this.#sessions) session.sendNotice(notice)
  }

  #send(sessions: Iterable<Pick<Session, 'sendNotice'>>, reports: readonly HealthReport[]): void {
    const notices = encodeHealth(reports)
    for (const session of sessions) for (const notice of notices) session.sendNotice(notice)
  }
}
