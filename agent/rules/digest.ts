import { createHash } from 'node:crypto'
import type { Rules } from '../../shared/policy/rule.ts'
import { formatRule } from './format.ts'

/** SHA-256 of the rules in a fixed form, so that the relay can show that they changed without seeing them. */
export function policyDigest(rules: Rules): Uint8Array {
  const lines = [...rules.keys()].sort().flatMap((name) => {
    const rule = rules.get(name)
    return rule === undefined ? [] : formatRule(rule)
  })
  return createHash('sha256').update(lines.join('\n')).digest()
}
