import { type Cidr, cidrContains, cidrWithin, parseCidr } from './cidr.ts'
import { formatIp, type Ip, parseIp } from './ip.ts'

/** What kind of thing an address reaches. `reserved`: nobody should be there, or its meaning is ambiguous. */
export type AddressClass =
  | 'loopback'
  | 'link-local'
  | 'metadata'
  | 'unspecified'
  | 'multicast'
  | 'broadcast'
  | 'reserved'
  | 'private'
  | 'global'

/** An address in the form that policy decides on, and in the form to connect to. */
export interface Canonical {
  /** What the packets reach in the end: the IPv4 address where an IPv6 form only wraps one. */
  readonly ip: Ip
  /** Text of `ip`. */
  readonly text: string
  /** The number to connect to. It differs from `text` where a translator on the way must see the IPv6 form. */
  readonly dial: string
}

/** First match wins. Metadata services come first because most of them lie in link-local or private ranges. */
const CLASSES: readonly (readonly [AddressClass, readonly Cidr[]])[] = [
  [
    'metadata',
    ranges(
      // Instance metadata: most clouds, then Alibaba, Azure's host, Oracle; then AWS and Google on IPv6.
      '169.254.169.254 100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254 fd20:ce::254',
      // Credentials of containers on AWS (ECS, EKS), on both families.
      '169.254.170.2 169.254.170.23 fd00:ec2::23',
    ),
  ],
  ['loopback', ranges('127.0.0.0/8 ::1')],
  // 0.0.0.0/8 is "this host": Linux connects 0.0.0.0 to loopback.
  ['unspecified', ranges('0.0.0.0/8 ::')],
  ['link-local', ranges('169.254.0.0/16 fe80::/10')],
  ['broadcast', ranges('255.255.255.255')],
  ['multicast', ranges('224.0.0.0/4 ff00::/8')],
  [
    'private',
    ranges('10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 198.18.0.0/15 fc00::/7 fec0::/10'),
  ],
  // 64:ff9b:1::/48: where in it the IPv4 address sits is the network's choice, so only its /96 can be read.
  // 2001::/32 (Teredo) hides an IPv4 address behind a server of anyone's choice.
  ['reserved', ranges('240.0.0.0/4 192.0.0.0/24 64:ff9b:1::/48 2001::/32')],
  ['global', ranges('0.0.0.0/0 2000::/3')],
]

/** IPv6 ranges that only wrap an IPv4 address, and how far right of the end that address stands, in bits. */
const WRAPPERS: readonly { readonly range: Cidr; readonly shift: bigint }[] = [
  ...ranges('::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/96').map((range) => ({
    range,
    shift: 0n,
  })),
  ...ranges('2002::/16').map((range) => ({ range, shift: 80n })),
]
const MAPPED = ranges('::ffff:0:0/96')
const LOW = ranges('::/96')

/**
 * Reads one answer of a resolver, or a literal, into its canonical form; a scope id is cut off.
 * @returns undefined where it is no address in a form that has one meaning only
 */
export function canonicalAddress(text: string): Canonical | undefined {
  const scope = text.indexOf('%')
  const ip = parseIp(scope > 0 && text.includes(':') ? text.slice(0, scope) : text)
  if (ip === undefined) return undefined
  // Of a dotted quad only the canonical form is read, so the text is that form already.
  if (ip.family === 4) return { ip, text, dial: text }
  const inner = unwrap(ip)
  // The kernel sends a mapped address as plain IPv4; NAT64 and the others need the IPv6 form on the wire.
  const isMapped = MAPPED.some((range) => cidrContains(range, ip))
  return { ip: inner, text: formatIp(inner), dial: formatIp(isMapped ? inner : ip) }
}

/** The class of `ip`, which must be unwrapped (`canonicalAddress`). What no table names is reserved. */
export function classOf(ip: Ip): AddressClass {
  return CLASSES.find(([, cidrs]) => cidrs.some((cidr) => cidrContains(cidr, ip)))?.[0] ?? 'reserved'
}

/**
 * True where `cidr` lies wholly inside the ranges of `kind`, so that whoever wrote it had this kind in mind.
 * 0.0.0.0/0 contains loopback but does not name it.
 */
export function namesClass(cidr: Cidr, kind: AddressClass): boolean {
  return CLASSES.some(([name, cidrs]) => name === kind && cidrs.some((range) => cidrWithin(cidr, range)))
}

/** True where `cidr` lies in a range that only wraps IPv4: no canonical address is ever in there. */
export function isWrapperRange(cidr: Cidr): boolean {
  return WRAPPERS.some(({ range }) => cidrWithin(cidr, range))
}

function unwrap(ip: Ip): Ip {
  if (ip.family === 4) return ip
  const wrapper = WRAPPERS.find(({ range }) => cidrContains(range, ip))
  if (wrapper !== undefined) return { family: 4, bits: (ip.bits >> wrapper.shift) & 0xffff_ffffn }
  // ::a.b.c.d, deprecated but understood; :: and ::1 are addresses of their own.
  const isCompatible = ip.bits > 1n && LOW.some((range) => cidrContains(range, ip))
  return isCompatible ? { family: 4, bits: ip.bits } : ip
}

function ranges(...lines: string[]): Cidr[] {
  return lines
    .flatMap((line) => line.split(' '))
    .map((text) => {
      const cidr = parseCidr(text)
      if (!cidr.ok) throw new TypeError(`${text}: ${cidr.reason}`)
      return cidr.value
    })
}
