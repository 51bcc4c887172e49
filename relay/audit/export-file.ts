import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { AUDIT_ACTOR_KINDS, type AuditRecord } from './record.ts'

/** Longest line, in UTF-16 units; a record is a tenth of it at most. */
const LINE_MAX = 65_536

const recordSchema = v.pipe(
  v.strictObject({
    tenant: v.string(),
    seq: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    time: v.pipe(v.string(), v.isoTimestamp()),
    environment: v.string(),
    actor: v.strictObject({ kind: v.picklist(AUDIT_ACTOR_KINDS), id: v.string() }),
    source: v.string(),
    action: v.string(),
    object: v.string(),
    outcome: v.string(),
    trace: v.string(),
    detail: v.string(),
    hash: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  }),
  v.transform(
    ({ tenant, time, trace, hash, ...rest }): AuditRecord => ({
      ...rest,
      tenantId: tenant,
      time: Date.parse(time),
      traceId: trace,
      hash: Buffer.from(hash, 'hex'),
    }),
  ),
)

/**
 * Reads what `audit export` wrote as JSON, a piece at a time, in pages.
 * @throws {TunnelError} CONFIG naming the line that is no record, or where it cannot be read
 */
export async function* exportedRecords(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly AuditRecord[], void> {
  const decoder = new TextDecoder()
  let rest = ''
  let number = 0
  try {
    for await (const chunk of chunks) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > LINE_MAX) throw notRecord(number + lines.length + 1)
      const before = number
      number += lines.length
      yield lines.map((line, at) => recordOf(line, before + at + 1))
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'EACCES' || code === 'EISDIR') {
      throw new TunnelError('CONFIG', 'The export cannot be read.', { cause })
    }
    throw cause
  }
  if (rest !== '') yield [recordOf(rest, number + 1)]
}

function recordOf(line: string, number: number): AuditRecord {
  const parsed = v.safeParse(v.pipe(v.string(), v.maxLength(LINE_MAX), v.parseJson(), recordSchema), line)
  if (parsed.success) return parsed.output
  throw notRecord(number)
}

function notRecord(line: number): TunnelError {
  return new TunnelError('CONFIG', `Line ${line} is no record: an export as JSON is taken, and whole.`)
}
