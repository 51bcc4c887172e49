import * as v from 'valibot'
import { TunnelError } from '../errors.ts'
import { PRODUCT_VERSION, PROTOCOL_VERSIONS } from '../version.ts'
import { decodeCbor } from '../wire/cbor-reader.ts'
import { encodeCbor } from '../wire/cbor-writer.ts'

/** What agent and connector say first (docs/protocol.md section 2). Unknown keys are skipped, for later revisions. */
export interface Hello {
  /** Lowest and highest revision spoken. */
  readonly versions: readonly [number, number]
  /** Names of optional abilities. */
  readonly capabilities: readonly string[]
  /** 16 random bytes made when the process started: tells a reconnect from a copy of the identity. */
  readonly instance: Uint8Array
  readonly product: string
  /** Names of sessions that the sender still holds: the relay closes every other one of the same agent. */
  readonly held: readonly string[]
  /** SHA-256 of the site's rules, so that the relay can show when they changed; agents only. */
  readonly policyDigest?: Uint8Array
  /** The signed release that runs, as `CHANNEL/VERSION`; agents only. A statement: the relay cannot check it. */
  readonly release?: string
}

/** What the relay answers. */
export interface HelloOk {
  readonly version: number
  readonly capabilities: readonly string[]
  /** Name of the session in both sides' logs. */
  readonly session: string
  /** Larger than that of every earlier session at the same relay process. */
  readonly generation: number
  /** Silence in ms after which either side asks with PING; 1,000 to 120,000. */
  readonly pingIntervalMs: number
  /** The relay's wall clock in ms since 1970. */
  readonly clock: number
  /** With the capability `links`: what proves that a further link belongs to the session. */
  readonly linkKey?: Uint8Array
  /** 16 random bytes made when the relay started: a relay remembers what it did until it stops. */
  readonly instance?: Uint8Array
}

/** A whole number from 0 to 2^53-1. */
export const uint = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const name = v.pipe(v.string(), v.maxLength(64), v.regex(/^[\x20-\x7e]*$/))
const capabilities = v.pipe(v.array(name), v.maxLength(32))
/** Exactly `length` bytes. */
export const bytes = (length: number) =>
  v.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === length)

/** The capability of having several links (docs/protocol.md section 6.6). */
export const LINKS_CAPABILITY = 'links'

/** Bytes of `linkKey`. */
export const LINK_KEY_BYTES = 32

/** Most sessions that one process names as held; the newest count. */
const MAX_HELD = 16

const helloSchema = v.object({
  versions: v.tuple([uint, uint]),
  capabilities,
  instance: bytes(16),
  product: name,
  held: v.pipe(v.array(name), v.maxLength(MAX_HELD)),
  policyDigest: v.optional(bytes(32)),
  release: v.optional(name),
})

const helloOkSchema = v.object({
  version: uint,
  capabilities,
  session: name,
  generation: uint,
  pingIntervalMs: v.pipe(uint, v.minValue(1_000), v.maxValue(120_000)),
  clock: uint,
  linkKey: v.optional(bytes(LINK_KEY_BYTES)),
  instance: v.optional(bytes(16)),
})

/** CBOR of HELLO, at most 8,192 bytes. */
export function encodeHello(hello: Pick<Hello, 'instance'> & Partial<Hello>): Uint8Array {
  return encodeMap({
    versions: [PROTOCOL_VERSIONS.min, PROTOCOL_VERSIONS.max],
    capabilities: [],
    product: `sallyport/${PRODUCT_VERSION}`,
    ...hello,
    held: (hello.held ?? []).slice(-MAX_HELD),
  })
}

/** @throws {TunnelError} PROTOCOL where it is not a HELLO, or shares no revision with us */
export function decodeHello(meta: Uint8Array): Hello & { readonly version: number } {
  const hello = parseMap(helloSchema, meta, 'HELLO')
  const version = Math.min(hello.versions[1], PROTOCOL_VERSIONS.max)
  if (version < Math.max(hello.versions[0], PROTOCOL_VERSIONS.min)) {
    throw new TunnelError('PROTOCOL', `no common revision: the peer speaks ${hello.versions.join(' to ')}`)
  }
  const { policyDigest, release, ...rest } = hello
  return {
    ...rest,
    version,
    ...(policyDigest === undefined ? {} : { policyDigest }),
    ...(release === undefined ? {} : { release }),
  }
}

/** CBOR of HELLO_OK. */
export function encodeHelloOk(hello: HelloOk): Uint8Array {
  return encodeMap(hello)
}

/** @throws {TunnelError} PROTOCOL where it is not a HELLO_OK, or chose a revision we did not offer */
export function decodeHelloOk(meta: Uint8Array): HelloOk {
  const hello = parseMap(helloOkSchema, meta, 'HELLO_OK')
  if (hello.version < PROTOCOL_VERSIONS.min || hello.version > PROTOCOL_VERSIONS.max) {
    throw new TunnelError('PROTOCOL', `the relay chose revision ${hello.version}`)
  }
  const { linkKey, instance, ...rest } = hello
  return {
    ...rest,
    ...(linkKey === undefined ? {} : { linkKey }),
    ...(instance === undefined ? {} : { instance }),
  }
}

/**
 * CBOR of a flat map; keys with undefined values are left out. A piece of a slab, as `encodeCbor` says.
 * @throws {TunnelError} INTERNAL where the protocol has no form for it
 */
export function encodeMap(map: object): Uint8Array {
  return encodeCbor(map)
}

/**
 * The map in `meta`, checked by `schema`. What is allowed in it: docs/protocol.md section 2.
 * @throws {TunnelError} PROTOCOL
 */
export function parseMap<Output>(
  schema: v.GenericSchema<unknown, Output>,
  meta: Uint8Array,
  what: string,
): Output {
  const result = v.safeParse(schema, decodeMeta(meta, what))
  if (!result.success) {
    const [issue] = result.issues
    throw new TunnelError('PROTOCOL', `${what}: ${v.getDotPath(issue) ?? 'map'} is not right`)
  }
  return result.output
}

/** The value in `meta`, of which nothing is known but that it is CBOR. @throws {TunnelError} PROTOCOL */
export function decodeMeta(meta: Uint8Array, what: string): unknown {
  try {
    return decodeCbor(meta)
  } catch (error) {
    throw new TunnelError('PROTOCOL', `${what} is not CBOR`, { cause: error })
  }
}
