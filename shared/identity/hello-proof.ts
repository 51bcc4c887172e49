import { createHash, type KeyObject, sign, verify, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { TunnelError } from '../errors.ts'
import { isP256 } from './keys.ts'

/**
 * What the two signatures of a greeting through an inspector cover (docs/protocol.md section 2.1). Both nonces are in both,
 * so neither signature is good for another connection; the relay's covers the whole HELLO as well, so that both ends know
 * that they speak of the same one.
 */
const AGENT_CONTEXT = 'sallyport.1 signed HELLO'
const RELAY_CONTEXT = 'sallyport.1 signed HELLO_OK'

/** Object identifiers of extended key usages (RFC 5280 section 4.2.1.12). */
const USAGE = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' } as const

/** What both ends know when they sign. */
export interface GreetingContext {
  /** The relay's name as the agent knows it. */
  readonly serverName: string
  /** 32 bytes. */
  readonly relayNonce: Uint8Array
  /** 32 bytes. */
  readonly agentNonce: Uint8Array
}

/** What the agent signs; `hello`: the CBOR of the ordinary HELLO. */
export function agentTranscript(context: GreetingContext, hello: Uint8Array): Buffer {
  return transcript(AGENT_CONTEXT, context, [hello])
}

/** What the relay signs; `signedHello`: the whole payload of the HELLO frame; `helloOk`: the CBOR of the ordinary answer. */
export function relayTranscript(
  context: GreetingContext,
  signedHello: Uint8Array,
  helloOk: Uint8Array,
): Buffer {
  return transcript(RELAY_CONTEXT, context, [createHash('sha256').update(signedHello).digest(), helloOk])
}

function transcript(label: string, context: GreetingContext, more: readonly Uint8Array[]): Buffer {
  const { serverName, relayNonce, agentNonce } = context
  return joinParts([Buffer.from(label), Buffer.from(serverName), relayNonce, agentNonce, ...more])
}

/** Each part behind its length as u32, so that no two lists of parts give the same bytes. */
export function joinParts(parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(part.length)
      return [length, part]
    }),
  )
}

/** ECDSA with SHA-256 as r and s, 64 bytes. */
export function signTranscript(key: KeyObject, bytes: Uint8Array): Buffer {
  return sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })
}

function isSigned(certificate: X509Certificate, bytes: Uint8Array, signature: Uint8Array): boolean {
  const key = certificate.publicKey
  return isP256(key) && verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

export interface Proof {
  /** DER. */
  readonly certificate: Uint8Array
  readonly signature: Uint8Array
  /** What must be signed. */
  readonly transcript: Uint8Array
}

/**
 * Checks that the relay spoke: its CA's certificate for its name, which TLS would have checked, and the signature.
 * @param nowMs milliseconds since 1970
 * @throws {TunnelError} RELAY_IDENTITY
 */
export function checkRelayProof(
  proof: Proof,
  trust: { readonly serverName: string; readonly ca: string },
  nowMs: number,
): void {
  const certificate = readIssued(proof.certificate, new X509Certificate(trust.ca), USAGE.server)
  const { serverName } = trust
  const isNamed =
    isIP(serverName) === 0 ? certificate?.checkHost(serverName) : certificate?.checkIP(serverName)
  const isRight =
    certificate !== undefined &&
    isNamed !== undefined &&
    nowMs >= certificate.validFromDate.getTime() &&
    nowMs < certificate.validToDate.getTime() &&
    isSigned(certificate, proof.transcript, proof.signature)
  if (isRight) return
  throw new TunnelError('RELAY_IDENTITY', 'The relay behind the inspector did not prove itself.')
}

/**
 * Checks that the owner of an agent's certificate spoke. Whether the certificate still counts, by time and by the relay's
 * store, is for `identify`.
 * @param ca the relay's own
 * @throws {TunnelError} IDENTITY
 */
export function checkAgentProof(proof: Proof, ca: X509Certificate): X509Certificate {
  const certificate = readIssued(proof.certificate, ca, USAGE.client)
  if (certificate === undefined || !isSigned(certificate, proof.transcript, proof.signature)) {
    throw new TunnelError('IDENTITY', 'The greeting is not signed by an agent of this relay.')
  }
  return certificate
}

/** The certificate, where this CA issued it for this use. */
function readIssued(der: Uint8Array, ca: X509Certificate, usage: string): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(der)
    const isRight =
      !certificate.ca &&
      certificate.checkIssued(ca) &&
      certificate.verify(ca.publicKey) &&
      certificate.keyUsage?.includes(usage) === true
    return isRight ? certificate : undefined
  } catch {
    return undefined
  }
}
