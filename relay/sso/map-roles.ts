import type { Assignment } from '../operations/operation.ts'
import type { RoleRule } from './provider.ts'

/** What an identity provider says of a person: texts, numbers, lists and objects, as JSON has them. */
export type Claims = Readonly<Record<string, unknown>>

/** Values of one claim that are looked at. */
const VALUES_MAX = 1_000

/** Characters of a value that are looked at; a longer one matches nothing. */
const VALUE_LENGTH_MAX = 1_024

/** What the rules make of somebody, and which of them did. */
export interface Mapped {
  /** Each place and role once; empty: no access. */
  readonly assignments: readonly Assignment[]
  /** Numbers of the rules that matched, the first being 1. */
  readonly rules: readonly number[]
}

/**
 * Looks at the rules in their order. Each that matches gives its role; one with the role `none` ends it. Who matches none
 * has no access.
 */
export function mapRoles(tenantId: string, rules: readonly RoleRule[], claims: Claims): Mapped {
  const assignments = new Map<string, Assignment>()
  const matched: number[] = []
  for (const [index, { claim, value, role, environment, site }] of rules.entries()) {
    if (!claimTexts(claims, claim).some((text) => matchesPattern(text, value))) continue
    matched.push(index + 1)
    if (role === 'none') break
    const assignment: Assignment = { tenantId, role, environment, site }
    assignments.set(JSON.stringify([role, environment, site]), assignment)
  }
  return { assignments: [...assignments.values()], rules: matched }
}

/** The texts of a claim: its own, or those of its list. What is neither text, number nor boolean says nothing. */
export function claimTexts(claims: Claims, claim: string): readonly string[] {
  const value = claim.startsWith('/') ? pointed(claims, claim) : own(claims, claim)
  const values: readonly unknown[] = Array.isArray(value) ? value.slice(0, VALUES_MAX) : [value]
  return values.flatMap((one) =>
    typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean' ? [String(one)] : [],
  )
}

/** RFC 6901, through objects only. */
function pointed(claims: Claims, pointer: string): unknown {
  let value: unknown = claims
  for (const part of pointer.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    value = own(value, name)
  }
  return value
}

function own(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Claims)[name]
}

/**
 * Whether `text` is as `pattern` says, where `*` stands for any characters. The time is bounded by the product of the two
 * lengths: no regular expression, since both come from outside.
 */
export function matchesPattern(text: string, pattern: string): boolean {
  if (text.length > VALUE_LENGTH_MAX) return false
  let [at, from] = [0, 0]
  let star = -1
  let retry = 0
  while (at < text.length) {
    if (pattern[from] === '*') {
      star = from++
      retry = at
    } else if (from < pattern.length && pattern[from] === text[at]) {
      at++
      from++
    } else if (star >= 0) {
      // The last star takes one character more.
      from = star + 1
      at = ++retry
    } else return false
  }
  while (pattern[from] === '*') from++
  return from === pattern.length
}
