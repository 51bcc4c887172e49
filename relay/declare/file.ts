import { createReadStream } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { addAbortSignal } from 'node:stream'
import { parse as parseToml, TomlDate, TomlError } from 'smol-toml'
import * as v from 'valibot'
import { brokenRule } from '../../shared/broken-rule.ts'
import { readSecret } from '../../shared/cli/secret-input.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { NAME_PATTERN } from '../../shared/identity/names.ts'
import { readLimited } from '../../shared/read-limited.ts'
import { parseStrictJson } from '../api/json.ts'
import { canonicalContents } from './canonical.ts'
import { contentsOf, documentSchema } from './document.ts'
import { lineOf } from './lines.ts'

/** Largest file: what one request to a relay takes, too. */
const FILE_MAX_BYTES = 1_048_576

/** Tenants of one file. */
const TENANTS_MAX = 100

/** Longest certificate file. */
const CERTIFICATES_MAX_BYTES = 65_536

/** A rule of a provider within its settings is the deepest. */
const MAX_DEPTH = 12

const fileSchema = v.strictObject({
  version: v.literal(1),
  tenants: v.pipe(
    v.record(v.pipe(v.string(), v.regex(NAME_PATTERN)), v.record(v.string(), v.unknown())),
    v.minEntries(1),
    v.maxEntries(TENANTS_MAX),
  ),
})

/** A file that was read: each tenant as it is sent, with the secrets that the file only names. */
export interface DeclaredFile {
  readonly tenants: readonly {
    readonly tenant: string
    readonly document: Readonly<Record<string, unknown>>
  }[]
  /** What a relay says of a member, with file and line. */
  placed(error: unknown, tenant: string): unknown
}

/** The surroundings of a command that reads such a file. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/**
 * Reads a file of declarations, TOML, or JSON where its name ends so.
 * @throws {TunnelError} INPUT naming file, line where known, member and rule; USAGE where it, or a file that it names, cannot be read
 */
export async function readDeclaredFile(path: string, surroundings: Surroundings): Promise<DeclaredFile> {
  const text = await readText(path, FILE_MAX_BYTES, surroundings.signal)
  const fault = (member: string, rule: string, line?: number) => inputFault(path, member, rule, line)
  const parsed = v.safeParse(fileSchema, rawOf(path, text))
  if (!parsed.success) {
    const [issue] = parsed.issues
    const member = v.getDotPath(issue) ?? ''
    throw fault(member, ruleOf(issue))
  }
  const placed = (error: unknown, tenant: string) => {
    if (!isTunnelError(error) || error.code !== 'INPUT') return error
    const [member = ''] = /^[a-z]+(?:\.\w+)*(?= breaks the rule: )/.exec(error.detail) ?? []
    const rule = error.detail.replace(/^.* breaks the rule: |\.$/g, '')
    return member === '' ? error : fault(`tenants.${tenant}.${member}`, rule, lineOf(text, tenant, member))
  }
  const tenants = Object.entries(parsed.output.tenants).map(async ([tenant, raw]) => {
    try {
      const named = (await withFiles(raw, { ...surroundings, directory: dirname(path) }, '')) as Readonly<
        Record<string, unknown>
      >
      checkDocument(named)
      return { tenant, document: named }
    } catch (error) {
      throw placed(error, tenant)
    }
  })
  return { tenants: await Promise.all(tenants), placed }
}

/** The same checks as at the relay, but for what only the relay knows. @throws {TunnelError} INPUT */
function checkDocument(document: unknown): void {
  const checked = v.safeParse(documentSchema, document, { abortEarly: true })
  if (checked.success) {
    canonicalContents(contentsOf(checked.output))
    return
  }
  const [issue] = checked.issues
  throw brokenRule(v.getDotPath(issue) ?? '', ruleOf(issue))
}

function ruleOf(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object' && issue.expected === 'never') return 'there is no such member'
  return issue.received === 'undefined' ? 'it is missing' : `${issue.type} ${issue.expected ?? ''}`.trim()
}

function inputFault(path: string, member: string, rule: string, line?: number): TunnelError {
  const where = line === undefined ? path : `${path} line ${line}`
  return new TunnelError(
    'INPUT',
    `${where}: ${member === '' ? 'the whole' : member} breaks the rule: ${rule}.`,
    {
      ...{ field: member, rule, leg: 'local' },
      next: 'mend the file; docs/declare.md lists what each section takes',
    },
  )
}

function rawOf(path: string, text: string): unknown {
  try {
    return path.endsWith('.json') ? parseStrictJson(text) : parseToml(text, { maxDepth: MAX_DEPTH })
  } catch (cause) {
    if (cause instanceof TomlError) {
      // Only the first line: what follows is a piece of the file.
      const [reason = ''] = cause.message.replace(/^Invalid TOML document: /, '').split('\n', 1)
      throw inputFault(path, '', `TOML: ${reason}`, cause.line)
    }
    if (isTunnelError(cause)) throw inputFault(path, cause.field ?? '', cause.rule ?? 'JSON')
    throw cause
  }
}

interface Named extends Surroundings {
  readonly directory: string
}

/** Times as text, and what a member only names: `file:` and `env:` for a secret, `file:` for certificates. */
async function withFiles(value: unknown, named: Named, path: string): Promise<unknown> {
  if (value instanceof TomlDate) return value.toISOString()
  if (typeof value === 'string') return textOf(value, named, path)
  if (Array.isArray(value))
    return Promise.all(value.map((item, at) => withFiles(item, named, `${path}.${at}`)))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(async ([name, item]) => {
    return [name, await withFiles(item, named, path === '' ? name : `${path}.${name}`)] as const
  })
  return Object.fromEntries(await Promise.all(entries))
}

async function textOf(text: string, { directory, env, signal }: Named, path: string): Promise<string> {
  if (/^providers\.\d+\.secret$/.test(path)) {
    if (text.startsWith('file:')) {
      const secret = await readSecret(resolve(directory, text.slice(5)), { stdin: process.stdin, signal })
      return secret.reveal()
    }
    const kept = text.startsWith('env:') ? env[text.slice(4)] : undefined
    if (kept !== undefined && kept !== '') return kept
    throw brokenRule(path, 'file:PATH or env:NAME, of something that is there; never the secret itself')
  }
  const isCertificate = /\.(?:ca|certificates\.\d+)$/.test(path)
  if (!isCertificate || !text.startsWith('file:')) return text
  return readText(resolve(directory, text.slice(5)), CERTIFICATES_MAX_BYTES, signal)
}

async function readText(path: string, maxBytes: number, signal: AbortSignal): Promise<string> {
  const tooLong = () => new TunnelError('USAGE', `${path} has more than ${maxBytes} bytes.`)
  try {
    const stream = addAbortSignal(signal, createReadStream(path))
    return new TextDecoder('utf-8', { fatal: true }).decode(await readLimited(stream, maxBytes, tooLong))
  } catch (cause) {
    signal.throwIfAborted()
    if (isTunnelError(cause)) throw cause
    throw new TunnelError('USAGE', `${path} cannot be read as text.`, { cause, next: 'is the path right?' })
  }
}
