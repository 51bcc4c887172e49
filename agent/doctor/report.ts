import { isIP } from 'node:net'
import { formatRelayAddress, type RelayAddress } from '../../shared/identity/relay-address.ts'
import { PRODUCT_VERSION } from '../../shared/version.ts'
import type { Line } from './examine.ts'

export interface ReportOptions {
  readonly addresses: readonly RelayAddress[]
  readonly serverName: string
  readonly lines: readonly Line[]
  /** By this machine's clock, in ms since 1970. */
  readonly now: number
  /** The targets inside are named too. */
  readonly withTargets: boolean
}

/** Checks that speak of what is inside the site, or of this product alone. */
const NOT_FOR_THE_NETWORK: ReadonlySet<string> = new Set(['agent', 'rules', 'target'])

/** Width of a line of the report, in characters. */
const WIDTH = 100

/**
 * The text for the network team: what must be open, what was seen, what to do. It stands for itself, names nothing inside the
 * site unless that is wanted, and holds no secret.
 */
export function reportLines(options: ReportOptions): readonly string[] {
  const { lines, withTargets, now } = options
  const seen = lines.filter(({ check }) => !NOT_FOR_THE_NETWORK.has(check))
  const targets = lines.filter(({ check }) => check === 'target')
  return [
    'Network requirements and findings for a Sallyport agent',
    `made on ${new Date(now).toISOString()} by Sallyport ${PRODUCT_VERSION}`,
    '',
    'What it is',
    ...wrap(
      'A program on this machine keeps one or two TLS connections open to a relay outside, day and night. All of them are opened from inside. Nothing inside has to accept connections from outside.',
    ),
    '',
    'What must be open, outgoing, from this machine',
    ...options.addresses.flatMap((address) => requirement(address, seen)),
    ...wrap(
      `TLS 1.3 with the server name ${nameOf(options.serverName)}, ALPN http/1.1, certificates on both sides; inside it HTTP/1.1 with Upgrade: websocket (RFC 6455), which then stays open.`,
    ),
    ...wrap(
      'Both ends prove themselves with keys of their own, so TLS inspection of this address breaks the connection: please exempt it.',
    ),
    ...wrap(
      'A silent connection must live for at least 60 s (idle timeout of firewall, NAT and proxy); the program breaks the silence every 20 s.',
    ),
    ...wrap('Through a proxy: CONNECT to the address above, with no limit on how long it lasts.'),
    '',
    'What was seen',
    ...seen.flatMap(seenLines),
    ...(withTargets && targets.length > 0 ? ['', 'Services inside', ...targets.flatMap(seenLines)] : []),
    '',
    'What to do',
    ...remedies(withTargets ? [...seen, ...targets] : seen),
  ]
}

function requirement(address: RelayAddress, seen: readonly Line[]): string[] {
  const subject = formatRelayAddress(address)
  const dns = seen.find((line) => line.subject === subject && line.check === 'dns')
  const { system } = (dns?.evidence ?? {}) as { system?: { addresses?: readonly string[] } }
  const numbers = isIP(address.host) === 0 ? (system?.addresses ?? []) : []
  return [
    `  TCP to ${address.host}, port ${address.port}${numbers.length === 0 ? '' : ` (now ${numbers.join(', ')})`}`,
  ]
}

function nameOf(serverName: string): string {
  return isIP(serverName) === 0 ? serverName : 'left out'
}

function seenLines({ check, subject, verdict, text }: Line): string[] {
  const head = `  ${verdict.padEnd(7)} ${check.padEnd(7)} ${subject ?? ''}`.trimEnd()
  return [head, ...wrap(text, 10)]
}

/** Each remedy once, in the order of the checks. */
function remedies(lines: readonly Line[]): string[] {
  const found = [...new Set(lines.flatMap(({ remedy }) => (remedy === undefined ? [] : [remedy])))]
  if (found.length === 0) return ['  Nothing: all that was looked at works.']
  return found.flatMap((remedy, index) => {
    const [first = '', ...rest] = wrap(remedy, 5)
    return [`  ${index + 1}. ${first.trimStart()}`, ...rest]
  })
}

/** Lines of at most WIDTH characters, each behind `indent` blanks. A word that is longer stays whole. */
function wrap(text: string, indent = 2): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH - indent) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].map((one) => `${' '.repeat(indent)}${one}`)
}
