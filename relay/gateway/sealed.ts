import { createHmac, timingSafeEqual, type X509Certificate } from 'node:crypto'
import * as v from 'valibot'
import type { Effects } from '../../shared/effects.ts'
import { errorEntry, isTunnelError, TunnelError } from '../../shared/errors.ts'
import { problemOf } from '../../shared/http/problem.ts'
import { ENROLL_PATH } from '../../shared/identity/enrollment-messages.ts'
import { checkAgentProof } from '../../shared/identity/hello-proof.ts'
import { importKey } from '../../shared/identity/keys.ts'
import {
  generateSealKey,
  makeOffer,
  OFFER_NONCE_BYTES,
  type Offer,
  openSealed,
  renewalTranscript,
  type SealedContent,
  sealedRequestSchema,
} from '../../shared/identity/sealed-request.ts'
import type { Peer } from '../authority/enroll.ts'
import type { ServerCertificate } from '../authority/server-certificate.ts'

/** How long an offer is good, in ms. */
const OFFER_MS = 60_000

/** Renewals that are remembered so that none is done twice; only owners of certificates get this far. */
const MAX_USED = 10_000

const MAC_BYTES = 16

/** What a sealed request asks for, once it is known to be fresh and, for a renewal, whose it is. */
export interface SealedAct {
  /** The parsed JSON, not yet checked. */
  readonly body: unknown
  /** For a renewal. */
  readonly peer: Peer | undefined
}

/** The relay's end of sealed requests (docs/protocol.md section 11.7). It keeps nothing for those who only ask for offers. */
export class SealedRequests {
  readonly #effects: Pick<Effects, 'randomBytes' | 'now'>
  readonly #ca: X509Certificate
  readonly #certificate: () => ServerCertificate
  readonly #sealKey = generateSealKey()
  readonly #nonceKey: Buffer
  /** Nonces of renewals, with the time when they are too old anyway; the oldest first. */
  readonly #used = new Map<string, number>()

  /** @param certificate what TLS presents now */
  constructor(
    effects: Pick<Effects, 'randomBytes' | 'now'>,
    ca: X509Certificate,
    certificate: () => ServerCertificate,
  ) {
    this.#effects = effects
    this.#ca = ca
    this.#certificate = certificate
    this.#nonceKey = effects.randomBytes(32)
  }

  /** Answers `GET /v1/offer`. */
  offer(): Offer {
    const { chain, key } = this.#certificate()
    return makeOffer({ chain, key: importKey(key.reveal()) }, this.#sealKey, this.#newNonce())
  }

  /**
   * Answers `POST /v1/sealed`.
   * @param body the parsed JSON, not yet checked
   * @throws {TunnelError} HTTP_BAD_REQUEST where it is not sealed for this run of the relay; all else is told in the box
   */
  async answer(
    body: unknown,
    traceId: string,
    act: (content: SealedAct) => Promise<object>,
  ): Promise<object> {
    const parsed = v.safeParse(sealedRequestSchema, body, { abortEarly: true })
    const opened = parsed.success ? openSealed(parsed.output, this.#sealKey) : undefined
    if (!parsed.success || opened === undefined) {
      throw new TunnelError('HTTP_BAD_REQUEST', 'The request is not sealed for this relay as it runs now.')
    }
    const { nonce, key } = parsed.output
    try {
      const result = await act(this.#check(opened.content, nonce, key))
      return opened.answer(200, JSON.stringify(result))
    } catch (cause) {
      const error = isTunnelError(cause) ? cause : new TunnelError('INTERNAL', '', { cause })
      return opened.answer(errorEntry(error.code).http, JSON.stringify(problemOf(error, traceId)))
    }
  }

  /** @throws {TunnelError} HTTP_BAD_REQUEST, IDENTITY, OVERLOADED */
  #check({ path, body, certificate, signature }: SealedContent, nonce: string, key: string): SealedAct {
    const age = this.#ageOf(nonce)
    if (age === undefined || age > OFFER_MS)
      throw new TunnelError('HTTP_BAD_REQUEST', 'The offer is too old.')
    // A token is good once by itself.
    if (path === ENROLL_PATH) return { body: readJson(body), peer: undefined }
    const proof = {
      certificate: Buffer.from(certificate ?? '', 'base64url'),
      signature: Buffer.from(signature ?? '', 'base64url'),
      transcript: renewalTranscript(nonce, key, body),
    }
    const peer = { certificate: checkAgentProof(proof, this.#ca), authorized: true }
    this.#use(nonce)
    return { body: readJson(body), peer }
  }

  /** Its time, random bytes, and a MAC over both: nothing has to be kept until it is used. */
  #newNonce(): Buffer {
    const head = Buffer.alloc(OFFER_NONCE_BYTES - MAC_BYTES)
    head.writeDoubleBE(this.#effects.now())
    this.#effects.randomBytes(8).copy(head, 8)
    return Buffer.concat([head, this.#macOf(head)])
  }

  #macOf(head: Buffer): Buffer {
    return createHmac('sha256', this.#nonceKey).update(head).digest().subarray(0, MAC_BYTES)
  }

  /** In ms; undefined where this relay did not make it. */
  #ageOf(text: string): number | undefined {
    const nonce = Buffer.from(text, 'base64url')
    if (nonce.length !== OFFER_NONCE_BYTES) return undefined
    const head = nonce.subarray(0, -MAC_BYTES)
    if (!timingSafeEqual(this.#macOf(head), nonce.subarray(-MAC_BYTES))) return undefined
    return this.#effects.now() - head.readDoubleBE()
  }

  #use(text: string): void {
    // Base64url has several texts for the same bytes.
    const nonce = Buffer.from(text, 'base64url').toString('hex')
    const now = this.#effects.now()
    for (const [oldest, until] of this.#used) {
      if (until > now) break
      this.#used.delete(oldest)
    }
    if (this.#used.has(nonce)) throw new TunnelError('IDENTITY', 'The renewal was asked for before.')
    if (this.#used.size >= MAX_USED) throw new TunnelError('OVERLOADED')
    this.#used.set(nonce, now + OFFER_MS)
  }
}

/** @throws {TunnelError} HTTP_BAD_REQUEST */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new TunnelError('HTTP_BAD_REQUEST', 'The body is no JSON.', { cause })
  }
}
