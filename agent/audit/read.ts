import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { fromJson } from '../../shared/json.ts'
import {
  type AgentRecord,
  agentFileSchema,
  agentRecordHash,
  agentRecordSchema,
  type ChainEnd,
  EMPTY_CHAIN,
} from './record.ts'

/** Longest line that is read, in UTF-16 units; a record is far shorter. */
const LINE_MAX = 16_384

/** The directory of the chain in an agent's data directory. */
export function auditDirectory(data: string): string {
  return join(data, 'audit')
}

/** Name of the file that begins with record `first`; names sort as the chain runs. */
export function auditFileName(first: number): string {
  return `${String(first).padStart(12, '0')}.jsonl`
}

/** The files of a chain, the oldest first. Empty where there is none. */
export async function auditFiles(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return []
    throw err
  })
  return names
    .filter((name) => /^\d{12}\.jsonl$/.test(name))
    .sort()
    .map((name) => join(directory, name))
}

/**
 * Gives the records of a chain, the oldest first, and checks each. Files that were put away with age leave the chain to begin where
 * the oldest one says.
 * @throws {TunnelError} AUDIT naming the first record that is not what was written
 */
export async function* readAgentChain(directory: string, signal?: AbortSignal): AsyncGenerator<AgentRecord> {
  let end: ChainEnd | undefined
  for (const path of await auditFiles(directory)) {
    for await (const record of readFile(path, end)) {
      signal?.throwIfAborted()
      end = { seq: record.seq, hash: record.hash }
      yield record
    }
  }
}

/** The records of one file; `end` is that of the files before, undefined for the first. @throws {TunnelError} AUDIT */
export async function* readFile(path: string, end: ChainEnd | undefined): AsyncGenerator<AgentRecord> {
  let at = end
  let isFirst = true
  const lines = createInterface({
    input: createReadStream(path, 'utf8'),
    crlfDelay: Number.POSITIVE_INFINITY,
  })
  for await (const line of lines) {
    if (isFirst) at = beginOf(line, at, path)
    else {
      const record = recordOf(line, at ?? EMPTY_CHAIN)
      at = { seq: record.seq, hash: record.hash }
      yield record
    }
    isFirst = false
  }
}

function beginOf(line: string, end: ChainEnd | undefined, path: string): ChainEnd {
  const head = parse(agentFileSchema, line)
  if (head === undefined) throw new TunnelError('AUDIT', `${path} does not begin as it should.`)
  const begin = { seq: head.first - 1, hash: head.before }
  // The first record that is kept may have others before it, but not before number 1.
  const expected = end ?? (begin.seq === 0 ? EMPTY_CHAIN : begin)
  if (begin.seq === expected.seq && begin.hash === expected.hash) return begin
  throw new TunnelError('AUDIT', `Record ${expected.seq + 1} is missing: ${path} begins elsewhere.`)
}

function recordOf(line: string, end: ChainEnd): AgentRecord {
  const record = parse(agentRecordSchema, line)
  const seq = end.seq + 1
  if (record === undefined) throw new TunnelError('AUDIT', `Record ${seq} is no record.`)
  if (record.seq !== seq) throw new TunnelError('AUDIT', `Record ${seq} is missing.`)
  if (agentRecordHash(record, end.hash) === record.hash) return record
  throw new TunnelError('AUDIT', `Record ${seq} is not what was written, or not in its place.`)
}

function parse<Output>(schema: v.GenericSchema<unknown, Output>, line: string): Output | undefined {
  if (line.length > LINE_MAX) return undefined
  const parsed = fromJson(line, schema)
  return parsed.success ? parsed.output : undefined
}
