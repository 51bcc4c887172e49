import * as v from 'valibot'
import { bytes, encodeMap, parseMap, uint } from './hello.ts'

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

const text = (max: number) => v.pipe(v.string(), v.maxLength(max), v.regex(/^[\x20-\x7e]*$/))

const openSchema = v.object({
  resource: v.pipe(text(130), v.regex(/^[a-z0-9][a-z0-9-]{0,62}(?:\/[a-z0-9][a-z0-9-]{0,62})?$/)),
  protocol: v.picklist(['tcp', 'http']),
  opener: v.optional(text(128)),
  source: v.optional(text(64)),
  trace: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/))),
  secret: v.optional(bytes(16)),
  attempt: v.optional(uint),
  fresh: v.optional(v.boolean()),
  agent: v.optional(text(64)),
  relay: v.optional(bytes(16)),
})

const openOkSchema = v.object({
  dialMs: uint,
  agent: v.optional(text(64)),
  resumable: v.optional(v.boolean()),
})

/** CBOR of OPEN. */
export function encodeOpenMeta(meta: OpenMeta): Uint8Array {
  return encodeMap(meta)
}

/** @throws {TunnelError} PROTOCOL */
export function decodeOpenMeta(meta: Uint8Array): v.InferOutput<typeof openSchema> {
  return parseMap(openSchema, meta, 'OPEN')
}

/** CBOR of OPEN_OK. */
export function encodeOpenOkMeta(meta: OpenOkMeta): Uint8Array {
  return encodeMap(meta)
}

/** @throws {TunnelError} PROTOCOL */
export function decodeOpenOkMeta(meta: Uint8Array): OpenOkMeta {
  return parseMap(openOkSchema, meta, 'OPEN_OK')
}
