import { brokenRule } from '../../shared/broken-rule.ts'
import type { JsonSchema } from './json-schema.ts'

/** Most members of a query or form. */
const PAIRS_MAX = 100

/** A number as JSON writes it, without an exponent. */
const DECIMAL = /^-?(0|[1-9]\d{0,15})(\.\d{1,15})?$/

/**
 * Names and values of `a=1&b=2`, decoded once. A name twice is refused: one reader would take the first, another the last.
 * @throws {TunnelError} INPUT
 */
export function parsePairs(text: string): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>()
  for (const [name, value] of split(text)) {
    if (pairs.has(name)) throw brokenRule(name, 'unique_name', 'The query or form')
    pairs.set(name, value)
  }
  return pairs
}

/**
 * The members that a query says, with the types that `schema` gives them: numbers, true and false, lists by a name said
 * more than once. What does not fit stays a text, for the schema to refuse.
 * @param text what follows `?`, without it
 * @throws {TunnelError} INPUT
 */
export function parseQuery(text: string, schema: JsonSchema): Readonly<Record<string, unknown>> {
  const members = new Map<string, unknown>()
  for (const [name, value] of split(text)) {
    const member = schema.properties?.[name]
    if (member?.type === 'array') {
      const items = (members.get(name) as unknown[] | undefined) ?? []
      items.push(typed(value, member.items))
      members.set(name, items)
    } else {
      if (members.has(name)) throw brokenRule(name, 'unique_name', 'The query or form')
      members.set(name, typed(value, member))
    }
  }
  return Object.fromEntries(members)
}

function* split(text: string): Generator<[name: string, value: string]> {
  if (text === '') return
  const parts = text.split('&', PAIRS_MAX + 1)
  if (parts.length > PAIRS_MAX) throw brokenRule('', `members <=${PAIRS_MAX}`, 'The query or form')
  for (const part of parts) {
    const at = part.indexOf('=')
    yield at < 0 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))]
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw brokenRule('', 'percent_encoding', 'The query or form')
  }
}

function typed(value: string, schema: JsonSchema | undefined): unknown {
  const type = schema?.type
  if ((type === 'number' || type === 'integer') && DECIMAL.test(value)) return Number(value)
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true'
  return value
}
