import { X509Certificate } from 'node:crypto'
import { TunnelError } from '../../shared/errors.ts'
import { type Cidr, cidrContains, formatCidr, parseCidr } from '../../shared/policy/cidr.ts'
import { parseIp } from '../../shared/policy/ip.ts'

/** From where, and with which certificate, something may be reached. */
export interface Restriction {
  readonly name: string
  /** Empty: from anywhere. */
  readonly ranges: readonly Cidr[]
  /** What the other end shows must be issued by it directly; undefined: any or none. */
  readonly ca?: X509Certificate | undefined
}

/** The other end of a connection, as the relay itself sees it. */
export interface Peer {
  /** IP address; of the client where a trusted proxy stands between. */
  readonly address: string
  /** What it showed, whoever issued it. */
  readonly certificate?: X509Certificate | undefined
}

/** Ranges of one restriction, at most. */
export const RANGES_MAX = 1_000

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** @throws {TunnelError} CONFIG naming the range that is none */
export function parseRanges(texts: readonly string[]): Cidr[] {
  return texts.map((text) => {
    const range = parseCidr(text)
    if (!range.ok) throw new TunnelError('CONFIG', `${text}: ${range.reason}.`)
    return range.value
  })
}

/** Their texts, in the form of {@link parseRanges}. */
export function formatRanges(ranges: readonly Cidr[]): string[] {
  return ranges.map(formatCidr)
}

/** @throws {TunnelError} CONFIG where the PEM is not one certificate of a CA */
export function parseCa(pem: string): X509Certificate {
  try {
    const certificate = new X509Certificate(pem)
    if (certificate.ca) return certificate
  } catch (cause) {
    throw new TunnelError('CONFIG', 'The CA is not one certificate in PEM.', { cause })
  }
  throw new TunnelError('CONFIG', 'The certificate is not one of a CA.')
}

/** Whether the restriction lets `peer` in, `now` ms since 1970. */
export function admits({ ranges, ca }: Restriction, { address, certificate }: Peer, now: number): boolean {
  return isInRanges(ranges, address) && (ca === undefined || isIssuedBy(ca, certificate, now))
}

function isInRanges(ranges: readonly Cidr[], address: string): boolean {
  if (ranges.length === 0) return true
  // A listener for both families says so of IPv4; a zone is no part of the address.
  const ip = parseIp(address.replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, ''))
  return ip !== undefined && ranges.some((range) => cidrContains(range, ip))
}

/** TLS has seen that the other end holds the key; who issued the certificate is looked at here and nowhere else. */
function isIssuedBy(ca: X509Certificate, certificate: X509Certificate | undefined, now: number): boolean {
  return (
    certificate !== undefined &&
    !certificate.ca &&
    certificate.validFromDate.getTime() <= now &&
    now < certificate.validToDate.getTime() &&
    now < ca.validToDate.getTime() &&
    (certificate.keyUsage === undefined || certificate.keyUsage.includes(CLIENT_AUTH)) &&
    certificate.checkIssued(ca) &&
    certificate.verify(ca.publicKey)
  )
}
