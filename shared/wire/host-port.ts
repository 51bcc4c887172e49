import { type Host, parseHost } from '../policy/host.ts'
import { type Parsed, parsed, refused } from '../policy/parsed.ts'

/** One end of a TCP connection as people write it. */
export interface HostPort {
  readonly host: Host
  /** 1 to 65535. */
  readonly port: number
}

/**
 * Reads HOST:PORT, or [IPv6]:PORT (RFC 3986 section 3.2.2). Both parts are needed; userinfo, paths, blanks,
 * scope ids and service names are refused.
 */
export function parseHostPort(text: string): Parsed<HostPort> {
  const colon = text.lastIndexOf(':')
  if (colon < 0) return refused('not HOST:PORT')
  const port = parsePort(text.slice(colon + 1))
  if (port === undefined) return refused('the port is not a number from 1 to 65535')
  const host = parseAuthorityHost(text.slice(0, colon))
  return host.ok ? parsed({ host: host.value, port }) : host
}

/** The text that parseHostPort reads back. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Reads a port in plain decimal. @returns 1 to 65535, or undefined */
export function parsePort(text: string): number | undefined {
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

function parseAuthorityHost(text: string): Parsed<Host> {
  const isBracketed = text.startsWith('[') && text.endsWith(']')
  if (!isBracketed) {
    return text.includes(':') ? refused('IPv6 needs brackets: [ADDRESS]:PORT') : parseHost(text)
  }
  const inner = text.slice(1, -1)
  return inner.includes(':') ? parseHost(inner) : refused('brackets are for IPv6 only')
}
