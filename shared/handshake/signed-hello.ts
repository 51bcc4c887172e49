import * as v from 'valibot'
import { bytes, encodeMap, parseMap } from './hello.ts'

/**
 * Greetings that prove who speaks where TLS cannot, because an inspector that the site accepted ends it
 * (docs/protocol.md section 2.1). Here is their form; what is signed stands in shared/identity/hello-proof.ts.
 */

/** Where an agent's session begins whose HELLO is signed; the client certificate is not looked at there. */
export const SIGNED_AGENT_PATH = '/v1/agent-signed'

/** Header of the 101 with the relay's nonce in unpadded Base64url. */
export const NONCE_HEADER = 'sallyport-nonce'

/** Bytes of either nonce, and of a signature (ECDSA on P-256, r and s). */
export const NONCE_BYTES = 32
const SIGNATURE_BYTES = 64

/** HELLO on such a session. */
export interface SignedHello {
  /** The CBOR of an ordinary HELLO, exactly as it was signed. */
  readonly hello: Uint8Array
  /** The agent's certificate in DER, at most 4,096 bytes. */
  readonly certificate: Uint8Array
  /** The agent's own, 32 bytes, fresh. */
  readonly nonce: Uint8Array
  /** By the certificate's key, 64 bytes. */
  readonly signature: Uint8Array
}

/** HELLO_OK on such a session. */
export interface SignedHelloOk {
  /** The CBOR of an ordinary HELLO_OK, or of a refusal, exactly as it was signed. */
  readonly hello: Uint8Array
  /** The relay's certificate in DER, at most 4,096 bytes. */
  readonly certificate: Uint8Array
  /** By the certificate's key, 64 bytes. */
  readonly signature: Uint8Array
}

const atMost = (length: number) =>
  v.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length > 0 && value.length <= length)

const helloOkSchema = v.object({
  hello: atMost(4_096),
  certificate: atMost(4_096),
  signature: bytes(SIGNATURE_BYTES),
})

const helloSchema = v.object({ ...helloOkSchema.entries, nonce: bytes(NONCE_BYTES) })

const refusalSchema = v.object({ refused: v.optional(v.pipe(v.string(), v.maxLength(64))) })

/** CBOR of a signed HELLO, at most 8,192 bytes. */
export function encodeSignedHello(hello: SignedHello): Uint8Array {
  return encodeMap(hello)
}

/** @throws {TunnelError} PROTOCOL */
export function decodeSignedHello(meta: Uint8Array): SignedHello {
  return parseMap(helloSchema, meta, 'the signed HELLO')
}

/** CBOR of a signed HELLO_OK, at most 8,192 bytes. */
export function encodeSignedHelloOk(hello: SignedHelloOk): Uint8Array {
  return encodeMap(hello)
}

/** @throws {TunnelError} PROTOCOL */
export function decodeSignedHelloOk(meta: Uint8Array): SignedHelloOk {
  return parseMap(helloOkSchema, meta, 'the signed HELLO_OK')
}

/** CBOR that stands in the place of HELLO_OK where the relay does not take the agent; `code`: a name of section 9. */
export function encodeRefusal(code: string): Uint8Array {
  return encodeMap({ refused: code })
}

/** The code of a refusal, or undefined where it is something else. @throws {TunnelError} PROTOCOL */
export function decodeRefusal(hello: Uint8Array): string | undefined {
  return parseMap(refusalSchema, hello, 'HELLO_OK').refused
}

/** The value of {@link NONCE_HEADER}. */
export function formatNonce(nonce: Uint8Array): string {
  return Buffer.from(nonce).toString('base64url')
}

/** Reads {@link NONCE_HEADER}; undefined where it is missing or not 32 bytes. */
export function parseNonce(value: string | readonly string[] | undefined): Buffer | undefined {
  if (typeof value !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(value)) return undefined
  const nonce = Buffer.from(value, 'base64url')
  return nonce.length === NONCE_BYTES ? nonce : undefined
}
