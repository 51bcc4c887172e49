import type { Rule, Rules } from '../shared/policy/rule.ts'
import type { HttpTarget } from './http-target.ts'

/** The HTTP targets in use, one for each resource and made anew when its rule changes. */
export class HttpTargets {
  readonly #create: (rule: Rule) => HttpTarget
  readonly #targets = new Map<string, { rule: Rule; target: HttpTarget }>()

  constructor(create: (rule: Rule) => HttpTarget) {
    this.#create = create
  }

  of(rule: Rule): HttpTarget {
    const known = this.#targets.get(rule.resource)
    if (known?.rule === rule) return known.target
    known?.target.close()
    const target = this.#create(rule)
    this.#targets.set(rule.resource, { rule, target })
    return target
  }

  /** Closes those whose rule has changed or is gone. */
  enforce(rules: Rules): void {
    for (const [resource, { rule, target }] of this.#targets) {
      if (rules.get(resource) === rule) continue
      this.#targets.delete(resource)
      target.close()
    }
  }
}
