import type { X509Certificate } from 'node:crypto'
import { isName } from './names.ts'

/** Whom a client certificate speaks for. */
export interface Subject {
  readonly kind: 'agent' | 'connector'
  readonly tenantId: string
  /** Made by the relay; 26 characters of a-z and 2-7 with no meaning. */
  readonly id: string
}

/** Ids of agents and connectors: 128 bits in Base32 (RFC 4648 section 6) in lower case. */
export const ID_PATTERN = /^[a-z2-7]{26}$/

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
const SUBJECT_URI = /^sallyport:\/\/([^/]+)\/(agent|connector)\/([^/]+)$/

/** Writes 16 random bytes as an id. */
export function formatId(random: Uint8Array): string {
  let bits = BigInt(`0x${Buffer.from(random.subarray(0, 16)).toString('hex')}`)
  let id = ''
  for (let i = 0; i < 26; i++) {
    id = BASE32.charAt(Number(bits & 31n)) + id
    bits >>= 5n
  }
  return id
}

/** The URI for the subject alternative name of a certificate. */
export function formatSubject(subject: Subject): string {
  return `sallyport://${subject.tenantId}/${subject.kind}/${subject.id}`
}

/** Reads a subject URI; undefined where it is anything else. */
export function parseSubject(uri: string): Subject | undefined {
  const [, tenantId, kind, id] = SUBJECT_URI.exec(uri) ?? []
  if (tenantId === undefined || id === undefined) return undefined
  if (!isName(tenantId) || !ID_PATTERN.test(id)) return undefined
  return { kind: kind === 'agent' ? 'agent' : 'connector', tenantId, id }
}

/**
 * The subject of a certificate, where its subject alternative name is exactly one URI of ours; undefined with any
 * other, none, or one more name beside it.
 *
 * Only the caller knows whether TLS trusts the certificate: ask `authorized` first, since anyone can write any name
 * into a certificate of his own.
 */
export function certificateSubject(certificate: X509Certificate): Subject | undefined {
  const names = certificate.subjectAltName
  return names?.startsWith('URI:') === true ? parseSubject(names.slice(4)) : undefined
}

/** The serial number as it is stored: hexadecimal in lower case. */
export function certificateSerial(certificate: X509Certificate): string {
  return certificate.serialNumber.toLowerCase()
}
