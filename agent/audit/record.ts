import * as v from 'valibot'
import { boundedText, CHAIN_START, chainHash } from '../../shared/audit/chain.ts'

/** What an agent keeps of what it let in. Names are a promise (docs/audit.md). */
const AGENT_ACTIONS = {
  'agent.join': 'the agent, with the certificate that it has from now on',
  'agent.start': 'the version of the program',
  'agent.stop': 'the agent ended and everything before is written',
  'agent.pause': 'every stream ended, and none is let in',
  'agent.resume': 'streams are let in again',
  'rules.change': 'the digest of the rules; the detail names what was added, removed and changed',
  'stream.open': 'a resource that was let in; the detail names the target',
  'stream.close': 'a resource; outcome: why; the detail holds the bytes',
  'stream.deny':
    'a resource that was not let in; outcome: why. Without a resource: the detail says how many more',
  'audit.lost': 'records that could not be kept; the object is their number',
} as const satisfies Record<string, string>

export type AgentAction = keyof typeof AGENT_ACTIONS

/** Something to be written into the agent's chain. */
export interface AgentEvent {
  readonly action: AgentAction
  readonly object: string
  /** `connector:NAME` or `relay`, as the relay says; empty where the agent itself acts. */
  readonly opener?: string | undefined
  /** Address that the stream is for, as the relay says. */
  readonly source?: string | undefined
  /** OK, or the code of the refusal or end. */
  readonly outcome: string
  readonly trace?: string | undefined
  readonly detail?: string | undefined
}

const text = v.pipe(v.string(), v.maxLength(1_024))
const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
const seq = v.pipe(v.number(), v.safeInteger(), v.minValue(1))

/** A link of the chain: one line of a file. */
export const agentRecordSchema = v.strictObject({
  seq,
  /** Milliseconds since 1970. */
  time: v.pipe(v.number(), v.safeInteger()),
  action: text,
  object: text,
  opener: text,
  source: text,
  outcome: text,
  trace: text,
  detail: text,
  hash,
})

export type AgentRecord = v.InferOutput<typeof agentRecordSchema>

/** The first line of each file: which agent's, and where in the chain the file begins. */
export const agentFileSchema = v.strictObject({
  format: v.literal('sallyport agent audit 1'),
  agent: v.pipe(v.string(), v.maxLength(128)),
  /** Number of the first record of the file. */
  first: seq,
  /** Hash of the record before it. */
  before: hash,
})

export type AgentFileHead = v.InferOutput<typeof agentFileSchema>

/** Where a chain ends. */
export interface ChainEnd {
  /** 0 for an empty chain. */
  readonly seq: number
  /** In hexadecimal. */
  readonly hash: string
}

/** The end of a chain without records. */
export const EMPTY_CHAIN: ChainEnd = { seq: 0, hash: Buffer.from(CHAIN_START).toString('hex') }

const DOMAIN = 'sallyport agent audit record 1\n'

/** Most UTF-16 units of each text in a record. */
const LIMITS = { object: 256, opener: 128, source: 64, trace: 64, detail: 512 } as const

/** The next link of a chain. @param time ms since 1970 */
export function linkAgentRecord(event: AgentEvent, end: ChainEnd, time: number): AgentRecord {
  const record: AgentRecord = {
    seq: end.seq + 1,
    time,
    action: event.action,
    object: boundedText(event.object, LIMITS.object),
    opener: boundedText(event.opener ?? '', LIMITS.opener),
    source: boundedText(event.source ?? '', LIMITS.source),
    outcome: event.outcome,
    trace: boundedText(event.trace ?? '', LIMITS.trace),
    detail: boundedText(event.detail ?? '', LIMITS.detail),
    hash: '',
  }
  record.hash = agentRecordHash(record, end.hash)
  return record
}

/** @param before in hexadecimal */
export function agentRecordHash(record: Omit<AgentRecord, 'hash'>, before: string): string {
  const { seq: number, time, action, object, opener, source, outcome, trace, detail } = record
  const fields = [number, time, action, object, opener, source, outcome, trace, detail]
  return chainHash(DOMAIN, Buffer.from(before, 'hex'), fields).toString('hex')
}
