import { isDeepStrictEqual } from 'node:util'
import type { Effects } from '../../shared/effects.ts'
import { MAX_REPORTED_TARGETS } from '../../shared/handshake/health.ts'
import type { ProbeKind, Rule, Rules } from '../../shared/policy/rule.ts'
import { probeKind } from './kind.ts'

/** Between two probes of a target, in ms, a fifth more or less by chance. */
export const INTERVAL_MS = 30_000
const JITTER = 0.2

/** After a failure the next probe comes so soon, in ms; from there it doubles up to the interval. */
const FIRST_AGAIN_MS = 5_000

/** While a target stays well the interval doubles up to this, in ms. */
const MAX_INTERVAL_MS = 120_000

/**
 * The same for targets that hold each probe against us. MySQL blocks a host after 100 connections in a row that came to no
 * login: doubling up to a day makes that a dozen probes on the first day and then one a day.
 */
const MAX_SPARING_MS: Partial<Record<ProbeKind, number>> = { mysql: 86_400_000 }

/** A probe that was called for comes no sooner than so long after the one before, in ms. */
const MIN_GAP_MS = 2_000

/** Most probes under way. */
export const MAX_PROBES = 4

interface Entry {
  readonly rule: Rule
  intervalMs: number
  /** Undefined before the first answer. */
  wasWell: boolean | undefined
  dueAt: number
  askedAt: number
}

function nextInterval({ rule, intervalMs, wasWell }: Entry, isWell: boolean): number {
  if (isWell !== wasWell) return isWell ? INTERVAL_MS : FIRST_AGAIN_MS
  const most = isWell ? (MAX_SPARING_MS[probeKind(rule)] ?? MAX_INTERVAL_MS) : INTERVAL_MS
  return Math.min(most, intervalMs * 2)
}

/** When each target is asked next. No I/O: it is told what is done and what time it is. */
export class ProbeSchedule {
  readonly #effects: Pick<Effects, 'now' | 'random'>
  #entries = new Map<string, Entry>()
  /** Rules whose probe is under way, also those that are no longer in force. */
  readonly #underway = new Set<Rule>()

  constructor(effects: Pick<Effects, 'now' | 'random'>) {
    this.#effects = effects
  }

  /**
   * Takes the rules in force, of which the first 1,000 are asked. What is new or has changed is due at once.
   * @returns the names of rules that are new or have changed, those that are not asked included
   */
  follow(rules: Rules): readonly string[] {
    const before = this.#entries
    const changed: string[] = []
    this.#entries = new Map()
    for (const [resource, rule] of [...rules].slice(0, MAX_REPORTED_TARGETS)) {
      const known = before.get(resource)
      if (known !== undefined && isDeepStrictEqual(known.rule, rule)) {
        this.#entries.set(resource, known)
        continue
      }
      changed.push(resource)
      const dueAt = probeKind(rule) === 'none' ? Number.POSITIVE_INFINITY : this.#effects.now()
      const askedAt = Number.NEGATIVE_INFINITY
      this.#entries.set(resource, { rule, intervalMs: INTERVAL_MS, wasWell: undefined, dueAt, askedAt })
    }
    return changed
  }

  /** The rules that it follows, in their order. */
  rules(): readonly Rule[] {
    return [...this.#entries.values()].map(({ rule }) => rule)
  }

  ruleOf(resource: string): Rule | undefined {
    return this.#entries.get(resource)?.rule
  }

  /** The rule to probe now; undefined where none is due or four are under way. `finished` must follow. */
  take(): Rule | undefined {
    if (this.#underway.size >= MAX_PROBES) return undefined
    const now = this.#effects.now()
    const next = this.#first()
    if (next === undefined || next.dueAt > now) return undefined
    this.#underway.add(next.rule)
    next.askedAt = now
    return next.rule
  }

  /**
   * A probe is done: the target is well, or is not.
   * @returns false where the rule is no longer in force and its result means nothing
   */
  finished(rule: Rule, isWell: boolean): boolean {
    this.#underway.delete(rule)
    const entry = this.#entries.get(rule.resource)
    if (entry?.rule !== rule) return false
    entry.intervalMs = nextInterval(entry, isWell)
    entry.wasWell = isWell
    entry.dueAt = this.#effects.now() + entry.intervalMs * (1 - JITTER + 2 * JITTER * this.#effects.random())
    return true
  }

  /** Something else says that the target may be another than it was: asks soon. */
  hurry(resource: string): void {
    const entry = this.#entries.get(resource)
    if (entry === undefined || entry.dueAt === Number.POSITIVE_INFINITY) return
    entry.dueAt = Math.min(entry.dueAt, Math.max(this.#effects.now(), entry.askedAt + MIN_GAP_MS))
  }

  /** Monotonic ms at which `take` has something; infinite where only `finished` or `follow` can bring it. */
  get deadline(): number {
    if (this.#underway.size >= MAX_PROBES) return Number.POSITIVE_INFINITY
    return this.#first()?.dueAt ?? Number.POSITIVE_INFINITY
  }

  #first(): Entry | undefined {
    let first: Entry | undefined
    for (const entry of this.#entries.values()) {
      if (this.#underway.has(entry.rule)) continue
      if (first === undefined || entry.dueAt < first.dueAt) first = entry
    }
    return first
  }
}
