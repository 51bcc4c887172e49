import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto'
import * as v from 'valibot'
import { TunnelError } from '../errors.ts'
import { checkRelayProof, joinParts, signTranscript } from './hello-proof.ts'
import { exportPublicKey, isP256 } from './keys.ts'

/**
 * Enrolment and renewal through an inspector that the site accepted (docs/protocol.md section 11.7). A join token that the
 * inspector could read would let it enrol itself, so the request is sealed for a key that the relay signed, and the answer
 * for the one who asked.
 */
export const OFFER_PATH = '/v1/offer'
export const SEALED_PATH = '/v1/sealed'

/** Bytes of the nonce of an offer. */
export const OFFER_NONCE_BYTES = 32

const OFFER_CONTEXT = 'sallyport.1 offer'
const SEAL_CONTEXT = 'sallyport.1 sealed'
const RENEWAL_CONTEXT = 'sallyport.1 sealed renewal'

/** Most characters of a body inside, and of the box round it, which must fit an enrolment body (section 10). */
const BODY_MAX_LENGTH = 16_384
const BOX_MAX_LENGTH = 30_000

const KEY_BYTES = 32
const TAG_BYTES = 16
/** Each key seals one message, so the nonce of the cipher may stay the same. */
const CIPHER_NONCE = Buffer.alloc(12)

const base64url = (max: number) => v.pipe(v.string(), v.maxLength(max), v.regex(/^[A-Za-z0-9_-]+$/))

/** Answer to `GET /v1/offer`. Keys that are not known are ignored. */
export const offerSchema = v.object({
  /** PEM of the relay's certificate with its CA's behind it. */
  chain: v.pipe(v.string(), v.maxLength(16_384)),
  /** The relay's key of this run, SubjectPublicKeyInfo in DER. */
  key: base64url(200),
  /** Names the offer; good once, for a minute. */
  nonce: base64url(43),
  /** By the certificate's key. */
  signature: base64url(86),
})

/** Body of `POST /v1/sealed`. */
export const sealedRequestSchema = v.strictObject({
  nonce: base64url(43),
  /** The asking end's key for this request. */
  key: base64url(200),
  box: base64url(BOX_MAX_LENGTH),
})

/** Answer to `POST /v1/sealed`. */
export const sealedAnswerSchema = v.object({ box: base64url(BOX_MAX_LENGTH) })

/** What stands in the box of a request. */
export const sealedContentSchema = v.strictObject({
  path: v.picklist(['/v1/enroll', '/v1/renew']),
  /** JSON, exactly as it is signed. */
  body: v.pipe(v.string(), v.maxLength(BODY_MAX_LENGTH)),
  /** For a renewal: the present certificate in DER, and a signature by its key. */
  certificate: v.optional(base64url(8_192)),
  signature: v.optional(base64url(86)),
})

/** What stands in the box of an answer. */
const sealedReplySchema = v.object({
  status: v.pipe(v.number(), v.integer(), v.minValue(100), v.maxValue(599)),
  body: v.pipe(v.string(), v.maxLength(BODY_MAX_LENGTH)),
})

export type Offer = v.InferOutput<typeof offerSchema>
export type SealedRequest = v.InferOutput<typeof sealedRequestSchema>
export type SealedContent = v.InferOutput<typeof sealedContentSchema>

const bytesOf = (text: string) => Buffer.from(text, 'base64url')
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')

/** A fresh key for one run of a relay or one request. */
export function generateSealKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** @param serving what TLS presents: chain in PEM and its key @param sealKey of {@link generateSealKey} */
export function makeOffer(
  serving: { readonly chain: string; readonly key: KeyObject },
  sealKey: KeyObject,
  nonce: Uint8Array,
): Offer {
  const key = exportPublicKey(sealKey)
  const signature = signTranscript(serving.key, joinParts([Buffer.from(OFFER_CONTEXT), nonce, key]))
  return { chain: serving.chain, key: textOf(key), nonce: textOf(nonce), signature: textOf(signature) }
}

/**
 * Checks that an offer is the relay's own.
 * @param nowMs milliseconds since 1970
 * @throws {TunnelError} RELAY_IDENTITY
 */
export function checkOffer(
  offer: Offer,
  trust: { readonly serverName: string; readonly ca: string },
  nowMs: number,
): void {
  const transcript = joinParts([Buffer.from(OFFER_CONTEXT), bytesOf(offer.nonce), bytesOf(offer.key)])
  const [certificate] = readChain(offer.chain)
  if (certificate === undefined) throw new TunnelError('RELAY_IDENTITY', 'The offer has no certificate.')
  checkRelayProof(
    { certificate: certificate.raw, signature: bytesOf(offer.signature), transcript },
    trust,
    nowMs,
  )
}

/** The certificates of an offer's chain; empty where they cannot be read. */
export function readChain(chain: string): X509Certificate[] {
  const pems = chain.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
  try {
    return pems.slice(0, 4).map((pem) => new X509Certificate(pem))
  } catch {
    return []
  }
}

/** What the owner of the present certificate signs to renew it; `key`: the asking end's key for this request. */
export function renewalTranscript(nonce: string, key: string, body: string): Buffer {
  return joinParts([Buffer.from(RENEWAL_CONTEXT), bytesOf(nonce), bytesOf(key), Buffer.from(body)])
}

/** The asking end's key, which must be made before what it signs. */
export interface SealedAsk {
  /** For {@link renewalTranscript}. */
  readonly key: string
  /** Seals the request. */
  seal(content: SealedContent): SealedRequest
  /** Opens the answer. @throws {TunnelError} RELAY_IDENTITY where it is not from the one who made the offer */
  open(box: string): v.InferOutput<typeof sealedReplySchema>
}

/** Begins one sealed request for an offer that was checked. @throws {TunnelError} RELAY_IDENTITY */
export function askSealed(offer: Offer): SealedAsk {
  const own = generateSealKey()
  const key = exportPublicKey(own)
  const keys = deriveKeys(
    own,
    { asking: key, answering: bytesOf(offer.key), nonce: bytesOf(offer.nonce) },
    'answering',
  )
  if (keys === undefined) throw new TunnelError('RELAY_IDENTITY', 'The key of the offer is not right.')
  return {
    key: textOf(key),
    seal: (content) => ({
      nonce: offer.nonce,
      key: textOf(key),
      box: textOf(encrypt(keys.request, JSON.stringify(content))),
    }),
    open: (box) => {
      const parsed = v.safeParse(sealedReplySchema, decryptJson(keys.answer, bytesOf(box)))
      if (parsed.success) return parsed.output
      throw new TunnelError('RELAY_IDENTITY', 'The sealed answer is not from the relay.')
    },
  }
}

/** A sealed request that was opened. */
export interface OpenedRequest {
  readonly content: SealedContent
  /** Seals the answer, JSON text of at most 16 KiB. */
  answer(status: number, body: string): v.InferOutput<typeof sealedAnswerSchema>
}

/** Opens a request at the relay; undefined where it was not sealed for this key. */
export function openSealed(request: SealedRequest, sealKey: KeyObject): OpenedRequest | undefined {
  const parties = {
    asking: bytesOf(request.key),
    answering: exportPublicKey(sealKey),
    nonce: bytesOf(request.nonce),
  }
  const keys = deriveKeys(sealKey, parties, 'asking')
  if (keys === undefined) return undefined
  const parsed = v.safeParse(sealedContentSchema, decryptJson(keys.request, bytesOf(request.box)))
  if (!parsed.success) return undefined
  return {
    content: parsed.output,
    answer: (status, body) => ({ box: textOf(encrypt(keys.answer, JSON.stringify({ status, body }))) }),
  }
}

interface Parties {
  readonly asking: Buffer
  readonly answering: Buffer
  readonly nonce: Buffer
}

/** One key for each direction; undefined where the other end's key is none on P-256. */
function deriveKeys(
  own: KeyObject,
  parties: Parties,
  other: 'asking' | 'answering',
): { readonly request: Buffer; readonly answer: Buffer } | undefined {
  try {
    const publicKey = createPublicKey({ key: parties[other], type: 'spki', format: 'der' })
    if (!isP256(publicKey)) return undefined
    const secret = diffieHellman({ privateKey: own, publicKey })
    const info = joinParts([Buffer.from(SEAL_CONTEXT), parties.asking, parties.answering])
    const bytes = Buffer.from(hkdfSync('sha256', secret, parties.nonce, info, 2 * KEY_BYTES))
    return { request: bytes.subarray(0, KEY_BYTES), answer: bytes.subarray(KEY_BYTES) }
  } catch {
    return undefined
  }
}

function encrypt(key: Buffer, text: string): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, CIPHER_NONCE)
  return Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
}

/** The JSON in a box; undefined where it is not authentic or no JSON. */
function decryptJson(key: Buffer, box: Buffer): unknown {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, CIPHER_NONCE, { authTagLength: TAG_BYTES })
    decipher.setAuthTag(box.subarray(-TAG_BYTES))
    const text = Buffer.concat([decipher.update(box.subarray(0, -TAG_BYTES)), decipher.final()])
    return JSON.parse(text.toString('utf8'))
  } catch {
    return undefined
  }
}
