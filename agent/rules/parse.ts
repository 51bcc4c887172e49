import { parse as parseToml, TomlError } from 'smol-toml'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { isName, NAME_RULE } from '../../shared/policy/name.ts'
import type { Rule, Rules } from '../../shared/policy/rule.ts'
import { lineOf } from './layout.ts'
import { ENTRY, KEYS, ruleOf } from './schema.ts'

/** Largest rules file that is read: 1 MiB. */
export const RULES_MAX_BYTES = 1_048_576
/** Most resources in one rules file. */
const RULES_MAX_RESOURCES = 10_000
/** The one version of the format. */
const RULES_VERSION = 1

/** resources, a resource, a list: nothing in the format is nested deeper. */
const MAX_DEPTH = 4

const FILE = v.strictObject({
  version: v.literal(RULES_VERSION),
  resources: v.optional(v.record(v.string(), v.unknown()), {}),
})

/**
 * Reads the text of a rules file. One fault refuses the whole text: half a policy is none.
 *
 * @param file the name to use in messages
 * @throws {TunnelError} POLICY, naming file, line where known, key, rule and remedy
 */
export function parseRules(text: string, file = 'rules.toml'): Rules {
  if (Buffer.byteLength(text) > RULES_MAX_BYTES) throw fault(file, undefined, 'larger than 1 MiB')
  const document = tableOf(text, file)
  const top = v.safeParse(FILE, document)
  if (!top.success) throw topFault(file, top.issues[0])
  // The raw table, not valibot's copy: that one leaves out "constructor", which is a lawful name.
  const entries = Object.entries(document.resources ?? {})
  if (entries.length > RULES_MAX_RESOURCES) {
    throw fault(file, undefined, `resources: more than ${RULES_MAX_RESOURCES}`)
  }
  return new Map(
    entries.map(([name, entry]) => {
      const rule = ruleFrom(name, entry)
      if ('reason' in rule) throw fault(file, lineOf(text, name, rule.key), rule.reason)
      return [name, rule]
    }),
  )
}

/**
 * Makes one rule of the same keys that a table of the rules file has: for commands that write one.
 * @throws {TunnelError} USAGE, naming key, rule and remedy
 */
export function makeRule(resource: string, entry: Readonly<Record<string, unknown>>): Rule {
  const rule = ruleFrom(resource, entry)
  if ('reason' in rule) throw new TunnelError('USAGE', rule.reason, { next: 'sallyport agent allow --help' })
  return rule
}

function tableOf(text: string, file: string): Record<string, unknown> {
  try {
    return parseToml(text, { maxDepth: MAX_DEPTH })
  } catch (err) {
    if (!(err instanceof TomlError)) throw err
    // Only the first line: what follows is a piece of the file.
    const [reason = ''] = err.message.replace(/^Invalid TOML document: /, '').split('\n', 1)
    throw fault(file, err.line, `no valid TOML: ${reason}`)
  }
}

interface EntryFault {
  readonly key?: string
  readonly reason: string
}

function ruleFrom(name: string, entry: unknown): Rule | EntryFault {
  if (!isName(name)) return { reason: `resources.${JSON.stringify(name)}: a name is ${NAME_RULE}` }
  const result = v.safeParse(ENTRY, entry)
  if (result.success) return ruleOf(name, result.output)
  const [issue] = result.issues
  const key = String(issue.path?.[0].key ?? '')
  const path = key === '' ? `resources.${name}` : `resources.${name}.${key}`
  return { key, reason: `${path}: ${reasonOf(key, issue)}` }
}

function reasonOf(key: string, issue: v.BaseIssue<unknown>): string {
  if (key === '') return 'must be a table'
  if (!Object.hasOwn(KEYS, key)) return `unknown key; the keys are ${Object.keys(KEYS).join(', ')}`
  const rule = KEYS[key as keyof typeof KEYS]
  const isMissing = issue.kind === 'schema' && issue.received === 'undefined'
  if (isMissing) return `missing; it ${rule}`
  // Valibot's own sentences begin so and say less than the rule does.
  return issue.message.startsWith('Invalid ') ? rule : `${issue.message}; it ${rule}`
}

function topFault(file: string, issue: v.BaseIssue<unknown>): TunnelError {
  const key = String(issue.path?.[0]?.key ?? '')
  if (key === 'version') return fault(file, undefined, `version: must be there as version = ${RULES_VERSION}`)
  if (key === 'resources')
    return fault(file, undefined, 'resources: must be tables such as [resources.orders-db]')
  return fault(file, undefined, `${key}: unknown key; the file holds version and [resources.NAME] only`)
}

function fault(file: string, line: number | undefined, reason: string): TunnelError {
  return new TunnelError('POLICY', `${file}${line === undefined ? '' : ` line ${line}`}: ${reason}`)
}
