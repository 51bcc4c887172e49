import type { Rule } from '../../../shared/policy/rule.ts'
import { cidr } from '../../support/cidr.ts'

type RuleParts = Partial<Omit<Rule, 'cidrs'>> & { readonly cidrs?: readonly string[] }

/** A rule for db.corp.example:5432 without any word, changed by `parts`. */
export function rule(parts: RuleParts = {}): Rule {
  return {
    resource: 'db',
    protocol: 'tcp',
    host: { kind: 'name', text: 'db.corp.example' },
    port: 5432,
    allowLoopback: false,
    allowLinkLocal: false,
    allowMetadata: false,
    detail: false,
    resume: true,
    ...parts,
    cidrs: (parts.cidrs ?? []).map(cidr),
  }
}
