import { isDeepStrictEqual } from 'node:util'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import type { Rule, Rules } from '../../shared/policy/rule.ts'
import { readRulesFile, writeRulesFile } from './file.ts'
import { formatRule, RULES_HEADER } from './format.ts'
import { lastGoodFile } from './last-good.ts'
import { findBlock } from './layout.ts'
import { parseRules } from './parse.ts'

/** What an edit led to. */
export interface Edited {
  readonly rules: Rules
  /** The rule that was there before. */
  readonly before?: Rule
}

const ATTEMPTS = 3

/**
 * The text with `rule` put in, over the table of the same name where there is one. Nothing else changes.
 * @throws {TunnelError} POLICY where the text is not right, or not in a form that can be edited line by line
 */
export function withRule(text: string, rule: Rule, file?: string): string {
  const expected = new Map(parseRules(text, file)).set(rule.resource, rule)
  const lines = text.split('\n')
  const block = findBlock(lines, rule.resource)
  const end = text.includes('\r\n') ? '\r' : ''
  const table = formatRule(rule).map((line) => line + end)
  if (block === undefined) {
    while (lines.length > 0 && lines.at(-1)?.trim() === '') lines.pop()
    lines.push(end, ...table, '')
  } else {
    lines.splice(block.header, block.end - block.header, ...table)
  }
  return checked(lines.join('\n'), expected, file)
}

/**
 * The text without the table of `resource` and the comment directly above it. Nothing else changes.
 * @throws {TunnelError} NOT_FOUND; POLICY as withRule
 */
export function withoutRule(text: string, resource: string, file = 'rules.toml'): string {
  const expected = new Map(parseRules(text, file))
  if (!expected.delete(resource)) {
    throw new TunnelError('NOT_FOUND', `${resource} is not in ${file}`, {
      leg: 'local',
      next: 'sallyport agent list',
    })
  }
  const lines = text.split('\n')
  const block = findBlock(lines, resource)
  if (block === undefined) throw byHand(file)
  const isSpaced = lines[block.start - 1]?.trim() === '' && lines[block.end]?.trim() === ''
  lines.splice(block.start, block.end - block.start + (isSpaced ? 1 : 0))
  return checked(lines.join('\n'), expected, file)
}

/**
 * Writes `rule` into the rules file, which is made where there is none.
 * @throws {TunnelError} POLICY, PERMISSIONS; CONFLICT where somebody else keeps changing the file
 */
export function allow(path: string, rule: Rule): Promise<Edited> {
  return edit(path, rule.resource, (text) => withRule(text, rule, path))
}

/**
 * Takes the rule of `resource` out of the rules file.
 * @throws {TunnelError} NOT_FOUND, POLICY, PERMISSIONS, CONFLICT
 */
export function deny(path: string, resource: string): Promise<Edited> {
  return edit(path, resource, (text) => withoutRule(text, resource, path))
}

async function edit(path: string, resource: string, change: (text: string) => string): Promise<Edited> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const text = await readOrBegin(path)
    const next = change(text)
    // Somebody's editor may have saved meanwhile; a lock file would not keep an editor out, looking again nearly does.
    if ((await readOrBegin(path)) !== text) continue
    await writeRulesFile(path, next)
    await keepIfKept(path, next)
    const before = parseRules(text, path).get(resource)
    return { rules: parseRules(next, path), ...(before && { before }) }
  }
  throw new TunnelError('CONFLICT', `${path} is being changed by somebody else`, { next: 'try again' })
}

/** What was allowed before `deny` must not come back where the next edit, by hand, breaks the file before the agent starts. */
async function keepIfKept(path: string, text: string): Promise<void> {
  const copy = lastGoodFile(path)
  const kept = await copy.read().catch(() => '')
  if (kept !== undefined) await copy.keep(text)
}

async function readOrBegin(path: string): Promise<string> {
  try {
    return await readRulesFile(path)
  } catch (err) {
    if (isTunnelError(err) && err.code === 'NOT_FOUND') return RULES_HEADER
    throw err
  }
}

/** The lines were edited without understanding TOML, so the proof is that the result means what was wanted. */
function checked(text: string, expected: Rules, file?: string): string {
  let rules: Rules
  try {
    rules = parseRules(text, file)
  } catch (err) {
    throw byHand(file, err instanceof TunnelError ? err : undefined)
  }
  if (!isDeepStrictEqual(rules, expected)) throw byHand(file)
  return text
}

function byHand(file = 'rules.toml', cause?: TunnelError): TunnelError {
  const reason =
    cause === undefined ? 'its layout is not line by line' : `the result would be: ${cause.detail}`
  return new TunnelError('POLICY', `${file} cannot be edited by a command, ${reason}; nothing was changed`, {
    next: 'edit the file by hand: one table [resources.NAME] for each resource',
    cause,
  })
}
