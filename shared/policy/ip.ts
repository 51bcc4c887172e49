/** An IP address as a number: `bits` is below 2^32 for family 4 and below 2^128 for family 6. */
export interface Ip {
  readonly family: 4 | 6
  readonly bits: bigint
}

const GROUPS = 8
/** The longest IPv6 text: eight groups of which the last two are written as dotted quad. */
const MAX_TEXT = 45

/**
 * Reads a canonical dotted quad or an IPv6 address (RFC 4291 section 2.2), without brackets and scope.
 * Short, octal, hexadecimal and integer forms of IPv4 are no addresses here, whatever the system's resolver thinks.
 */
export function parseIp(text: string): Ip | undefined {
  if (text.length > MAX_TEXT) return undefined
  if (text.includes(':')) return parseIp6(text)
  const bits = quadBits(text)
  return bits === undefined ? undefined : { family: 4, bits: BigInt(bits) }
}

/** The canonical text of `ip`: a dotted quad, or the form of RFC 5952 without a dotted tail. */
export function formatIp(ip: Ip): string {
  if (ip.family === 4) {
    const bits = Number(ip.bits)
    return `${bits >>> 24}.${(bits >>> 16) & 255}.${(bits >>> 8) & 255}.${bits & 255}`
  }
  const groups = Array.from({ length: GROUPS }, (_, i) =>
    Number((ip.bits >> BigInt(16 * (GROUPS - 1 - i))) & 0xffffn),
  )
  const gap = longestZeroRun(groups)
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':')
  if (gap.length < 2) return hex(groups)
  return `${hex(groups.slice(0, gap.start))}::${hex(groups.slice(gap.start + gap.length))}`
}

const DOT = 0x2e
const ZERO = 0x30

/** Read for every stream, so without a pattern and a list of parts. */
function quadBits(text: string): number | undefined {
  let bits = 0
  let dots = 0
  let octet = -1
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === DOT && octet >= 0 && dots < 3) {
      bits = bits * 256 + octet
      octet = -1
      dots++
      continue
    }
    const digit = code - ZERO
    // A leading zero means octal to some resolvers and decimal to others, so it means nothing here.
    if (digit < 0 || digit > 9 || octet === 0) return undefined
    octet = Math.max(octet, 0) * 10 + digit
    if (octet > 255) return undefined
  }
  return octet >= 0 && dots === 3 ? bits * 256 + octet : undefined
}

function parseIp6(text: string): Ip | undefined {
  const halves = text.split('::')
  const [first = '', second] = halves
  if (halves.length > 2) return undefined
  const head = groupsOf(first, second === undefined)
  const tail = groupsOf(second ?? '', true)
  if (head === undefined || tail === undefined) return undefined
  const missing = GROUPS - head.length - tail.length
  if (second === undefined ? missing !== 0 : missing < 1) return undefined
  const groups = [...head, ...Array<number>(missing).fill(0), ...tail]
  return { family: 6, bits: groups.reduce((bits, group) => (bits << 16n) | BigInt(group), 0n) }
}

function groupsOf(text: string, mayEndInQuad: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
      continue
    }
    const quad = mayEndInQuad && i === parts.length - 1 ? quadBits(part) : undefined
    if (quad === undefined) return undefined
    groups.push(Math.floor(quad / 65_536), quad % 65_536)
  }
  return groups
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  let start = 0
  for (const [i, group] of groups.entries()) {
    if (group !== 0) start = i + 1
    else if (i + 1 - start > best.length) best = { start, length: i + 1 - start }
  }
  return best
}
