import * as v from 'valibot'
import { codeFromWire, type ErrorCode, wireFromCode } from '../errors.ts'
import { MAX_META_BYTES } from '../mux/frame.ts'
import { encodeMap, parseMap, uint } from './hello.ts'

/** Most targets that one session reports; a relay keeps no more. */
export const MAX_REPORTED_TARGETS = 1_000

/** Longest text of a report about one target, in characters. */
export const MAX_HEALTH_TEXT = 120

/** Most conditions that an agent tells of itself. */
const MAX_CONDITIONS = 8

/** Room for the map around the reports of one NOTICE, in bytes. */
const MAP_BYTES = 32

/**
 * How a target is: it serves; it serves and something wants attention; it does not; it was not asked yet; its rule says not
 * to ask; there is no such rule any more.
 */
export const HEALTH_STATES = ['ok', 'warn', 'failing', 'unknown', 'unasked', 'gone'] as const
export type HealthState = (typeof HEALTH_STATES)[number]

/** What an agent tells of one target (docs/protocol.md section 8.6). */
export interface HealthReport {
  /** The name in the agent's rules; the relay knows the site by the session. */
  readonly resource: string
  readonly state: HealthState
  /** With `failing`: why. */
  readonly code?: ErrorCode | undefined
  /** How long it has been so, in ms: an age, so that clocks need not agree. */
  readonly ageMs: number
  /** For people: printable ASCII, at most 120 characters, without an internal address unless the site allows it. */
  readonly text?: string | undefined
}

/** What an agent tells of itself, and so of all its resources (docs/protocol.md section 8.6). */
export interface AgentCondition {
  readonly state: 'failing' | 'warn'
  readonly code: ErrorCode
  /** How long it has been so, in ms. */
  readonly ageMs: number
}

const conditionSchema = v.object({
  state: v.pipe(
    v.string(),
    v.maxLength(16),
    v.transform((state) => (state === 'failing' ? state : 'warn')),
  ),
  code: v.pipe(uint, v.transform(codeFromWire)),
  ageMs: uint,
})

const reportSchema = v.object({
  resource: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/)),
  // A state of a later version is one that we know nothing of.
  state: v.pipe(
    v.string(),
    v.maxLength(16),
    v.transform((state) => HEALTH_STATES.find((known) => known === state) ?? 'unknown'),
  ),
  code: v.optional(v.pipe(uint, v.transform(codeFromWire))),
  ageMs: uint,
  text: v.optional(v.pipe(v.string(), v.maxLength(MAX_HEALTH_TEXT), v.regex(/^[\x20-\x7e]*$/))),
})

const noticeSchema = v.object({
  health: v.optional(v.pipe(v.array(reportSchema), v.maxLength(MAX_REPORTED_TARGETS))),
  agent: v.optional(v.pipe(v.array(conditionSchema), v.maxLength(MAX_CONDITIONS))),
})

/** The reports as the CBOR of as few NOTICEs as hold them; none where there are none. */
export function encodeHealth(reports: readonly HealthReport[]): Uint8Array[] {
  const notices: Uint8Array[] = []
  let batch: object[] = []
  let size = MAP_BYTES
  const flush = () => {
    if (batch.length > 0) notices.push(encodeMap({ health: batch }))
    batch = []
    size = MAP_BYTES
  }
  for (const { resource, state, code, ageMs, text } of reports) {
    const entry = {
      resource,
      state,
      ageMs: Math.max(0, Math.round(ageMs)),
      ...(code === undefined ? {} : { code: wireFromCode(code) }),
      ...(text === undefined ? {} : { text }),
    }
    const { length } = encodeMap(entry)
    if (size + length > MAX_META_BYTES) flush()
    size += length
    batch.push(entry)
  }
  flush()
  return notices
}

/** All that an agent tells of itself, as the CBOR of a NOTICE; at most 8. */
export function encodeConditions(conditions: readonly AgentCondition[]): Uint8Array {
  const entries = conditions.map(({ state, code, ageMs }) => ({
    state,
    code: wireFromCode(code),
    ageMs: Math.max(0, Math.round(ageMs)),
  }))
  return encodeMap({ agent: entries })
}

/** What a NOTICE tells of; nothing where it is something else. */
export interface HealthNotice {
  readonly reports: readonly HealthReport[]
  /** Undefined where the notice leaves the conditions as they were. */
  readonly conditions: readonly AgentCondition[] | undefined
}

/** @throws {TunnelError} PROTOCOL */
export function decodeHealth(meta: Uint8Array): HealthNotice {
  const { health = [], agent } = parseMap(noticeSchema, meta, 'NOTICE')
  return { reports: health, conditions: agent }
}
