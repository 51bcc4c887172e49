import type { Effects } from '../../shared/effects.ts'
import { type ErrorCode, isTunnelError } from '../../shared/errors.ts'
import { type HealthReport, type HealthState, MAX_HEALTH_TEXT } from '../../shared/handshake/health.ts'
import type { Logger } from '../../shared/log.ts'
import type { ProbeKind, Rule, Rules } from '../../shared/policy/rule.ts'
import { harmless } from './hello.ts'
import { probeKind } from './kind.ts'
import type { ProbeResult } from './probe.ts'
import { ProbeSchedule } from './schedule.ts'

/** How a target is, for the site's own eyes: `detail` names addresses and what the target said. */
export interface TargetStatus {
  readonly resource: string
  readonly probe: ProbeKind
  readonly state: Exclude<HealthState, 'gone'>
  /** With `failing`: why. */
  readonly code?: ErrorCode | undefined
  readonly detail: string
  /** Milliseconds since 1970 since which state and code are so. */
  readonly since: number
  /** The same of the last answer or failure; absent where there was none. */
  readonly askedAt?: number | undefined
}

interface Known extends TargetStatus {
  readonly note: string
}

export interface HealthWatchOptions {
  readonly effects: Pick<Effects, 'now' | 'date' | 'random' | 'after'>
  readonly log: Logger
  /** Asks one target; rejects only where the signal aborts. */
  readonly probe: (rule: Rule, signal: AbortSignal) => Promise<ProbeResult>
  /** These targets are other than they were, or gone. */
  readonly onChange: (resources: readonly string[]) => void
}

/** Codes of a dial that say something of the target; others are about ourselves. */
const TELLING: ReadonlySet<ErrorCode> = new Set([
  'DNS',
  'CONNECTION_REFUSED',
  'CONNECT_TIMEOUT',
  'UNREACHABLE',
  'DENIED_BY_SITE',
])

/** Keeps asking every target that the rules name, and knows how each is. */
export class HealthWatch implements Disposable {
  readonly #options: HealthWatchOptions
  readonly #schedule: ProbeSchedule
  readonly #known = new Map<string, Known>()
  readonly #end = new AbortController()
  #isPaused = false
  #cancelTimer = () => {}

  constructor(options: HealthWatchOptions) {
    this.#options = options
    this.#schedule = new ProbeSchedule(options.effects)
  }

  /** Takes the rules in force. */
  follow(rules: Rules): void {
    const changed = this.#schedule.follow(rules)
    const gone = [...this.#known.keys()].filter((resource) => this.#schedule.ruleOf(resource) === undefined)
    for (const resource of gone) this.#known.delete(resource)
    for (const resource of changed) this.#forget(resource)
    if (changed.length + gone.length > 0) this.#options.onChange([...changed, ...gone])
    this.#arm()
  }

  /** A stream dialled its target, with this failure or none: as good as a probe, and sooner. */
  dialled(resource: string, error?: unknown): void {
    const known = this.#known.get(resource)
    // Of a target that is never asked nothing would say that it is well again.
    if (known === undefined || known.probe === 'none' || this.#isPaused) return
    if (error === undefined) {
      // That it takes connections does not say that it answers, so it is asked.
      if (known.state !== 'failing') return
      this.#schedule.hurry(resource)
    } else if (isTunnelError(error) && TELLING.has(error.code)) {
      this.#settle(known, { state: 'failing', code: error.code, note: '', detail: harmless(error.detail) })
      this.#schedule.hurry(resource)
    }
    this.#arm()
  }

  /** True: nothing is asked, and no target can be reached. */
  pause(isPaused: boolean): void {
    if (this.#isPaused === isPaused) return
    this.#isPaused = isPaused
    const resources = [...this.#known.keys()]
    for (const resource of resources) {
      this.#forget(resource)
      this.#schedule.hurry(resource)
    }
    this.#options.onChange(resources)
    this.#arm()
  }

  /** Every target, in the order of the rules. */
  list(): readonly TargetStatus[] {
    return [...this.#known.values()].map(({ note: _, ...status }) => status)
  }

  /** Since when a target fails, in ms since 1970; undefined where it does not. */
  failingSince(resource: string): number | undefined {
    const known = this.#known.get(resource)
    return known?.state === 'failing' ? known.since : undefined
  }

  /** What may leave the site about these targets, or about all. */
  reports(resources: Iterable<string> = this.#known.keys()): readonly HealthReport[] {
    return [...resources].map((resource) => this.#report(resource))
  }

  [Symbol.dispose](): void {
    this.#cancelTimer()
    this.#end.abort()
  }

  #report(resource: string): HealthReport {
    const known = this.#known.get(resource)
    const rule = this.#schedule.ruleOf(resource)
    if (known === undefined) return { resource, state: 'gone', ageMs: 0 }
    const { state, code } = known
    const isNews = state === 'warn' || state === 'failing'
    // Addresses inside stay inside, unless the rule says that others may see them.
    const text = (rule?.detail === true ? known.detail : known.note).slice(0, MAX_HEALTH_TEXT)
    return {
      resource,
      state,
      ...(code === undefined ? {} : { code }),
      ageMs: this.#options.effects.date() - known.since,
      ...(isNews && text !== '' ? { text } : {}),
    }
  }

  /** Begins anew with a target: nothing is known of it, or what the pause says. */
  #forget(resource: string): void {
    const rule = this.#schedule.ruleOf(resource)
    if (rule === undefined) return
    const probe = probeKind(rule)
    const since = this.#options.effects.date()
    const state = probe === 'none' ? 'unasked' : 'unknown'
    const fresh = this.#isPaused ? ({ state: 'failing', code: 'PAUSED' } as const) : ({ state } as const)
    this.#known.set(resource, { resource, probe, ...fresh, note: '', detail: '', since })
  }

  #arm(): void {
    this.#cancelTimer()
    const { deadline } = this.#schedule
    if (this.#isPaused || this.#end.signal.aborted || deadline === Number.POSITIVE_INFINITY) return
    const { effects } = this.#options
    this.#cancelTimer = effects.after(Math.max(0, deadline - effects.now()), () => this.#run())
  }

  #run(): void {
    for (let rule = this.#schedule.take(); rule !== undefined; rule = this.#schedule.take())
      void this.#ask(rule)
    this.#arm()
  }

  async #ask(rule: Rule): Promise<void> {
    let result: ProbeResult | undefined
    try {
      result = await this.#options.probe(rule, this.#end.signal)
    } catch (err) {
      if (!this.#end.signal.aborted) this.#options.log.error({ err, resource: rule.resource }, 'probe failed')
    }
    if (this.#end.signal.aborted) return
    const before = this.#known.get(rule.resource)
    const isInForce = this.#schedule.finished(rule, result !== undefined && result.state !== 'failing')
    if (isInForce && !this.#isPaused && before !== undefined && result !== undefined)
      this.#settle(before, result)
    this.#arm()
  }

  #settle(before: Known, now: Pick<ProbeResult, 'state' | 'code' | 'note' | 'detail'>): void {
    const { effects, log, onChange } = this.#options
    const { resource, probe } = before
    const { state, code, note, detail } = now
    const date = effects.date()
    const isSame = before.state === state && before.code === code
    const since = isSame ? before.since : date
    this.#known.set(resource, {
      resource,
      probe,
      state,
      ...(code === undefined ? {} : { code }),
      note,
      detail,
      since,
      askedAt: date,
    })
    const level = state === 'failing' ? 'warn' : 'info'
    if (!isSame) log[level]({ resource, probe, state, code, detail }, 'target health')
    // Words of the target may be others each time, such as the hour in a greeting; ours say what matters.
    if (!isSame || before.note !== note) onChange([resource])
  }
}
