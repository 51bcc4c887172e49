import { brokenRule } from '../../shared/broken-rule.ts'
import { TunnelError } from '../../shared/errors.ts'

/** What a body may be, beyond its size. */
export const JSON_LIMITS = {
  /** Objects and lists within each other. */
  depth: 32,
  /** Members of objects and items of lists in all. */
  members: 20_000,
} as const

/** Names that reach into how objects work, for whoever copies members by name. */
const FORBIDDEN_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

const NUMBER = /-?\d[\d.eE+-]*/y

/** Where a scan is: the names of each object that is open, undefined for a list. */
interface Scan {
  readonly open: (Set<string> | undefined)[]
  members: number
  /** The next text is the name of a member. */
  isNameNext: boolean
}

/**
 * Parses JSON that everybody reads alike: no name twice in an object, no name of {@link FORBIDDEN_NAMES}, no number beyond
 * what a double holds, within {@link JSON_LIMITS}. They are looked at before anything is built.
 * @throws {TunnelError} HTTP_BAD_REQUEST where it is no JSON, INPUT naming the rule
 */
export function parseStrictJson(text: string): unknown {
  try {
    scan(text)
    return JSON.parse(text)
  } catch (cause) {
    if (cause instanceof TunnelError) throw cause
    throw new TunnelError('HTTP_BAD_REQUEST', 'The body is no JSON.', { cause })
  }
}

/** Reads only as much of the grammar as the rules need; what is no JSON at all is found by the parser behind it. */
function scan(text: string): void {
  const state: Scan = { open: [], members: 0, isNameNext: false }
  for (let at = 0; at < text.length; at++) {
    const unit = text[at] ?? ''
    if (unit === '"') at = readText(state, text, at)
    else if (unit === '-' || (unit >= '0' && unit <= '9')) at = number(text, at)
    else punctuate(state, unit)
  }
}

function punctuate(state: Scan, unit: string): void {
  if (unit === '{' || unit === '[') enter(state, unit)
  else if (unit === '}' || unit === ']') {
    state.open.pop()
    state.isNameNext = false
  } else if (unit === ',') {
    count(state)
    state.isNameNext = state.open.at(-1) !== undefined
  }
}

function enter(state: Scan, unit: '{' | '['): void {
  if (state.open.length >= JSON_LIMITS.depth) throw brokenRule('', `depth <=${JSON_LIMITS.depth}`, 'The body')
  count(state)
  state.open.push(unit === '{' ? new Set() : undefined)
  state.isNameNext = unit === '{'
}

function count(state: Scan): void {
  if (++state.members > JSON_LIMITS.members)
    throw brokenRule('', `members <=${JSON_LIMITS.members}`, 'The body')
}

/** @returns where the text ends */
function readText(state: Scan, text: string, begin: number): number {
  let end = begin + 1
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
  const names = state.open.at(-1)
  if (state.isNameNext && names !== undefined) {
    state.isNameNext = false
    const name = String(JSON.parse(text.slice(begin, end + 1)))
    if (FORBIDDEN_NAMES.has(name)) throw brokenRule(name, 'forbidden_name', 'The body')
    if (names.has(name)) throw brokenRule(name, 'unique_name', 'The body')
    names.add(name)
  }
  return end
}

/** @returns where the number ends */
function number(text: string, begin: number): number {
  NUMBER.lastIndex = begin
  const [digits = ''] = NUMBER.exec(text) ?? []
  if (Math.abs(Number(digits)) === Number.POSITIVE_INFINITY) throw brokenRule('', 'finite_number', 'The body')
  return begin + Math.max(digits.length, 1) - 1
}
