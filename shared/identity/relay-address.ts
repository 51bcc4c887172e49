import { isIP, isIPv6 } from 'node:net'
import { TunnelError } from '../errors.ts'

/** Where a relay listens. */
export interface RelayAddress {
  /** DNS name in lower case, or an IP address without brackets. */
  readonly host: string
  /** 1 to 65535. */
  readonly port: number
}

/** Longest text that {@link parseRelayAddress} looks at: a DNS name of 253, a colon and five digits. */
export const RELAY_ADDRESS_MAX_LENGTH = 259

const FORM = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+)):([1-9]\d{0,4})$/
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** True for a DNS name in lower case with no dot at its end: at most 253 characters, labels of 1 to 63. */
function isDnsName(text: string): boolean {
  if (text.length > 253) return false
  const labels = text.split('.')
  // A name that ends in a number would be read as an IPv4 address by many resolvers, in forms nobody expects.
  return labels.every((label) => LABEL.test(label)) && !/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')
}

/** True for what a server certificate can name: a DNS name in lower case or an IP address. */
export function isServerName(text: string): boolean {
  return isIP(text) !== 0 ? !text.includes('%') : isDnsName(text)
}

/**
 * Reads `host:port` or `[IPv6]:port`, in lower case.
 *
 * @throws {TunnelError} CONFIG on any other form
 */
export function parseRelayAddress(text: string): RelayAddress {
  const match = text.length <= RELAY_ADDRESS_MAX_LENGTH ? FORM.exec(text) : null
  const [, v6, name, digits] = match ?? []
  const host = v6 ?? name ?? ''
  const port = Number(digits)
  const right = v6 === undefined ? isServerName(host) : isIPv6(host)
  if (!right || !(port <= 65_535)) {
    throw new TunnelError('CONFIG', 'The address of a relay is host:port or [IPv6]:port, in lower case.')
  }
  return { host, port }
}

/** Writes what {@link parseRelayAddress} reads. */
export function formatRelayAddress(address: RelayAddress): string {
  return isIPv6(address.host) ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}
