import { cidrContains, parseCidr } from '../policy/cidr.ts'
import { parseIp } from '../policy/ip.ts'
import { parsePort } from '../wire/host-port.ts'
import type { Target } from './route.ts'

/** Longest list in characters, and most entries that count. */
const MAX_LENGTH = 16_384
const MAX_ENTRIES = 1_000

/** True for a target that no proxy is to be asked for. */
export type NoProxy = (target: Target) => boolean

/**
 * Reads a list such as NO_PROXY has, parted by commas, semicolons or blanks: `*` (everything), a name (it and all below
 * it, with or without a leading dot or `*.`), an address, a range of addresses, `<local>` (names without a dot). A port may
 * stand behind a name or an address. What cannot be read matches nothing, as everywhere else.
 */
export function parseNoProxy(text: string): NoProxy {
  const entries = text
    .slice(0, MAX_LENGTH)
    .split(/[\s,;]+/)
    .filter((entry) => entry !== '')
    .slice(0, MAX_ENTRIES)
    .map(parseEntry)
  return (target) => entries.some((matches) => matches(target))
}

function parseEntry(text: string): NoProxy {
  if (text === '*') return () => true
  if (text.toLowerCase() === '<local>') return ({ host }) => !host.includes('.') && !host.includes(':')
  const range = parseCidr(text.replace(/^\[|\]$/g, ''))
  if (range.ok) {
    return ({ host }) => {
      const ip = parseIp(host)
      return ip !== undefined && cidrContains(range.value, ip)
    }
  }
  const [, hostText = '', portText] = /^(.*?)(?::(\d+))?$/.exec(text) ?? []
  const port = portText === undefined ? undefined : parsePort(portText)
  const name = hostText
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/^\*?\./, '')
  return (target) =>
    name !== '' &&
    (portText === undefined || target.port === port) &&
    (target.host === name || (target.host.endsWith(`.${name}`) && parseIp(target.host) === undefined))
}

/** True for the machine itself, which a proxy of the environment is never asked for, as curl and Go have it. */
export function isLoopback({ host }: Target): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127\.\d/.test(host)
}
