import { formatIp, parseIp } from './ip.ts'
import { type Parsed, parsed, refused } from './parsed.ts'

/** A host as a rule may name it. */
export interface Host {
  /** `ip`: a literal, never resolved. `name`: to be resolved. */
  readonly kind: 'name' | 'ip'
  /** Canonical: lower case, no trailing dot, IPv6 by RFC 5952 without brackets. */
  readonly text: string
}

const MAX_NAME = 253
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** A last label like this makes resolvers read the whole host as a number: 127.1, 0x7f.1, 2130706433. */
const NUMERIC = /^(?:[0-9]+|0x[0-9a-f]*)$/

/**
 * Reads a host: a DNS name of ASCII letters, digits and hyphens (RFC 1123 section 2.1) with at most one
 * trailing dot, a canonical dotted quad, or IPv6 without brackets. Everything a resolver may take for a number
 * without being a canonical address is refused, because getaddrinfo decodes it behind the back of any check.
 */
export function parseHost(text: string): Parsed<Host> {
  if (text === '') return refused('the host is empty')
  // Two octets a character at most and one dot: what is longer is not worth a closer look.
  if (text.length > MAX_NAME + 1) return refused(`the host is longer than ${MAX_NAME}`)
  const ip = parseIp(text)
  if (ip !== undefined) return parsed({ kind: 'ip', text: formatIp(ip) })
  if (text.includes(':')) return refused('the host is no IPv6 address')
  return parseName(text)
}

function parseName(text: string): Parsed<Host> {
  const name = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/\.$/, '')
  if (name.length > MAX_NAME) return refused(`the host is longer than ${MAX_NAME}`)
  const labels = name.split('.')
  if (!labels.every((label) => LABEL.test(label))) {
    return refused('the host is no DNS name of letters, digits, "-" and "."')
  }
  if (NUMERIC.test(labels.at(-1) ?? ''))
    return refused('the host looks like a number but is no plain IPv4 address')
  return parsed({ kind: 'name', text: name })
}
