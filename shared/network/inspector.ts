import { X509Certificate } from 'node:crypto'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { TunnelError } from '../errors.ts'
import { fingerprint } from '../identity/keys.ts'
import { printable } from './proxy-answer.ts'

/** Longest chain that is looked at; ours has two certificates. */
const CHAIN_MAX = 8

/**
 * A TLS inspector that the site accepts between here and the relay: a CA that may vouch for what calls itself the relay,
 * known by the fingerprint of its key. It makes nobody the relay: that one still proves its own key (docs/protocol.md
 * sections 2.1 and 11.7).
 */
export interface AcceptedInspector {
  /** Of the key of the inspector's CA. */
  readonly fingerprint: string
  /** PEM of that CA, once it is known. */
  ca(): Promise<string | undefined>
  /** Looks for the CA in a chain that was presented. @returns true where it is there and was not known */
  learn(chain: readonly X509Certificate[]): boolean
}

/** @param roots PEM of the CAs in which the inspector's may be found before anything was dialled */
export function acceptInspector(
  accepted: string,
  roots: () => Promise<readonly string[]>,
): AcceptedInspector {
  let learned: string | undefined
  return {
    fingerprint: accepted,
    async ca() {
      learned ??= (await roots()).find((pem) => isKey(new X509Certificate(pem), accepted))
      return learned
    },
    learn(chain) {
      if (learned !== undefined) return false
      learned = chain.find((certificate) => isKey(certificate, accepted))?.toString()
      return learned !== undefined
    },
  }
}

/** True for a CA's certificate that was signed by its own key, which has this fingerprint: so all of it is its own word. */
function isKey(certificate: X509Certificate, accepted: string): boolean {
  try {
    return (
      certificate.ca && fingerprint(certificate) === accepted && certificate.verify(certificate.publicKey)
    )
  } catch {
    // A key of a kind that OpenSSL does not know is not the one.
    return false
  }
}

/**
 * Has the certificates that the other end presents read as soon as they are there. Node verifies them right after that, and
 * takes the connection down where they do not hold; then nobody could see any more whose they were.
 *
 * @returns the chain, the leaf first; empty until the handshake is done
 */
export function observeChain(socket: TLSSocket): () => readonly X509Certificate[] {
  let chain: readonly X509Certificate[] = []
  // 'secure' is the end of the handshake. Node's own listener for it verifies, so ours must come before.
  socket.prependListener('secure', () => {
    chain = presentedChain(socket)
  })
  return () => chain
}

/** By Node's older form of certificates: reading the newer one takes the chain away from the verification that follows. */
function presentedChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (next?.raw !== undefined && chain.length < CHAIN_MAX) {
    chain.push(new X509Certificate(next.raw))
    // A certificate that signed itself is its own issuer.
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate
  }
  return chain
}

/** Who signed a certificate. */
export interface Issuer {
  /** As the certificate says, on one line of printable ASCII. */
  readonly name: string
  /** Of the key that signed, where its certificate was at hand. */
  readonly fingerprint?: string
}

/**
 * Who signed `leaf`, with the fingerprint of the CA's key where it is in the chain that was presented or among `roots`. Above
 * an intermediate CA stands the root that a company gives to its machines, so that one is named where it can be found.
 */
export function issuerOf(
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  roots: readonly string[],
): Issuer {
  const name = printable(leaf.issuer.replaceAll('\n', ', '))
  const known = [...chain, ...roots.map((pem) => new X509Certificate(pem))].filter(({ ca }) => ca)
  const signer = known.find((candidate) => isSignedBy(leaf, candidate))
  if (signer === undefined) return { name }
  const root = known.find((candidate) => isSignedBy(signer, candidate) && isSignedBy(candidate, candidate))
  return { name, fingerprint: fingerprint(root ?? signer) }
}

/** True where the key of `issuer` signed `certificate`. */
export function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  } catch {
    return false
  }
}

/**
 * What to say where something else than the relay showed a certificate.
 * @param where address of the relay, for people
 * @param host the name that a network team would exempt from inspection
 */
export function inspectionError(where: string, host: string, issuer: Issuer, cause?: unknown): TunnelError {
  const { name, fingerprint: key } = issuer
  const accept =
    key === undefined
      ? 'name its CA by --ca-file FILE to see its fingerprint'
      : `accept it: --accept-inspector ${key}`
  return new TunnelError(
    'RELAY_IDENTITY',
    `${where} shows a certificate signed by: ${name}${key === undefined ? '' : ` (key ${key})`}.`,
    {
      cause,
      next: `is this your company's TLS inspector? Have ${host} exempted from inspection, or ${accept}`,
    },
  )
}
