import { formatIp, type Ip, parseIp } from './ip.ts'
import { type Parsed, parsed, refused } from './parsed.ts'

/** A range of addresses. `bits` has no bit set behind `prefix`. */
export interface Cidr extends Ip {
  /** Leading bits that count: 0 to 32 (family 4) or 0 to 128 (family 6). */
  readonly prefix: number
  /** The last address of the range, as `bits` is its first. */
  readonly last: bigint
}

/** Reads ADDRESS/PREFIX, or an address alone as a range of one. Bits behind the prefix must be zero. */
export function parseCidr(text: string): Parsed<Cidr> {
  const [address = '', length, ...rest] = text.split('/')
  const ip = parseIp(address)
  if (ip === undefined || rest.length > 0)
    return refused('not ADDRESS/PREFIX, such as 10.20.0.0/16 or fd00::/8')
  const width = ip.family === 4 ? 32 : 128
  if (length !== undefined && !/^(?:0|[1-9][0-9]{0,2})$/.test(length))
    return refused('the prefix is no number')
  const prefix = length === undefined ? width : Number(length)
  if (prefix > width) return refused(`the prefix is longer than ${width}`)
  const hosts = (1n << BigInt(width - prefix)) - 1n
  // Someone who writes 10.1.2.3/8 meant either one host or the whole net: guessing would widen a rule.
  if ((ip.bits & hosts) !== 0n) return refused('bits are set behind the prefix')
  return parsed({ ...ip, prefix, last: ip.bits + hosts })
}

/** The canonical text of `cidr`. */
export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr)}/${cidr.prefix}`
}

/** True where `ip` lies in `cidr`; addresses of the other family never do. */
export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  return cidr.family === ip.family && cidr.bits <= ip.bits && ip.bits <= cidr.last
}

/** True where every address of `inner` lies in `outer`. */
export function cidrWithin(inner: Cidr, outer: Cidr): boolean {
  return inner.prefix >= outer.prefix && cidrContains(outer, inner)
}
