import { TunnelError } from '../errors.ts'
import { decodeMeta, encodeMap } from './hello.ts'

/** What an OPEN asks for (docs/protocol.md section 4.1). */
export interface OpenMeta {
  /** Towards the relay `SITE/RESOURCE`, towards the agent `RESOURCE`. */
  readonly resource: string
  readonly protocol: 'tcp' | 'http'
  /** Who opens: the connector's name, or the relay's own listener. Set by the relay, never believed from a connector. */
  readonly opener?: string | undefined
  /** Where the opener's peer comes from, as an address without port. */
  readonly source?: string | undefined
  /** 32 hex digits that name the stream in every log on the way. */
  readonly trace?: string | undefined
  /** 16 random bytes of the opener: the stream's name at the agent, and the proof of owning it. Absent: it ends with its path. */
  readonly secret?: Uint8Array | undefined
  /** With REATTACH: rises with each try; the agent takes no number twice. */
  readonly attempt?: number | undefined
  /** With REATTACH: the first OPEN was never answered, so an agent that does not know the secret opens anew. */
  readonly fresh?: boolean | undefined
  /** With REATTACH, towards the relay: the agent that has the stream, or may have it; what OPEN_OK or ROUTED named last. */
  readonly agent?: string | undefined
  /** With `fresh`, towards the relay: the relay process, by its `instance`, to which alone OPENs of this stream went. */
  readonly relay?: Uint8Array | undefined
}

/** What OPEN_OK tells. */
export interface OpenOkMeta {
  /** How long the agent needed to reach the target, in ms. */
  readonly dialMs: number
  /** The agent that has the stream now. */
  readonly agent?: string | undefined
  /** True where the agent keeps the stream when its path is lost. */
  readonly resumable?: boolean | undefined
}

/** What each key may have for a value, where undefined stands for a key that is not there. */
type Guards<Fields> = { readonly [Key in keyof Fields]-?: (value: unknown) => value is Fields[Key] }

function optional<Value>(guard: (value: unknown) => value is Value) {
  return (value: unknown): value is Value | undefined => value === undefined || guard(value)
}

const text = (max: number) => {
  return (value: unknown): value is string =>
    typeof value === 'string' && value.length <= max && /^[\x20-\x7e]*$/.test(value)
}

const matching = (pattern: RegExp) => {
  return (value: unknown): value is string => typeof value === 'string' && pattern.test(value)
}

const bytes = (length: number) => {
  return (value: unknown): value is Uint8Array => value instanceof Uint8Array && value.length === length
}

const isUint = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean'

const OPEN: Guards<OpenMeta> = {
  resource: matching(/^[a-z0-9][a-z0-9-]{0,62}(?:\/[a-z0-9][a-z0-9-]{0,62})?$/),
  protocol: (value) => value === 'tcp' || value === 'http',
  opener: optional(text(128)),
  source: optional(text(64)),
  trace: optional(matching(/^[0-9a-f]{32}$/)),
  secret: optional(bytes(16)),
  attempt: optional(isUint),
  fresh: optional(isBoolean),
  agent: optional(text(64)),
  relay: optional(bytes(16)),
}

const OPEN_OK: Guards<OpenOkMeta> = {
  dialMs: isUint,
  agent: optional(text(64)),
  resumable: optional(isBoolean),
}

/**
 * The fields of the map in `meta` that `guards` knows. In the place of a schema, which would take most of the time that a
 * stream spends on its metas.
 */
function readFields<Fields>(guards: Guards<Fields>, meta: Uint8Array, what: string): Fields {
  const map = decodeMeta(meta, what)
  if (typeof map !== 'object' || map === null) throw new TunnelError('PROTOCOL', `${what}: map is not right`)
  const fields: Partial<Fields> = {}
  for (const key in guards) {
    const value = (map as Readonly<Record<string, unknown>>)[key]
    if (!guards[key](value)) throw new TunnelError('PROTOCOL', `${what}: ${key} is not right`)
    if (value !== undefined) fields[key] = value
  }
  return fields as Fields
}

/** CBOR of OPEN. */
export function encodeOpenMeta(meta: OpenMeta): Uint8Array {
  return encodeMap(meta)
}

/** @throws {TunnelError} PROTOCOL */
export function decodeOpenMeta(meta: Uint8Array): OpenMeta {
  return readFields(OPEN, meta, 'OPEN')
}

/** CBOR of OPEN_OK. */
export function encodeOpenOkMeta(meta: OpenOkMeta): Uint8Array {
  return encodeMap(meta)
}

/** @throws {TunnelError} PROTOCOL */
export function decodeOpenOkMeta(meta: Uint8Array): OpenOkMeta {
  return readFields(OPEN_OK, meta, 'OPEN_OK')
}
