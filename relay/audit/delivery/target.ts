import { lookup as resolve } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'
import { brokenRule } from '../../../shared/broken-rule.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { canonicalAddress, classOf, namesClass } from '../../../shared/policy/address.ts'
import { type Cidr, cidrContains } from '../../../shared/policy/cidr.ts'
import { parseHostPort } from '../../../shared/wire/host-port.ts'
import type { Delivery } from './delivery.ts'

/** Where a delivery goes, taken apart. */
export interface DeliveryTarget {
  readonly host: string
  readonly port: number
  /** Of a webhook. */
  readonly path: string
}

/** Longest target, in UTF-16 units. */
const TARGET_MAX = 2_048

/** @throws {TunnelError} INPUT naming the rule that the target breaks */
export function parseTarget({ kind, target }: Pick<Delivery, 'kind' | 'target'>): DeliveryTarget {
  return kind === 'syslog' ? parseReceiver(target) : parseHook(target)
}

function parseReceiver(target: string): DeliveryTarget {
  const read = parseHostPort(target)
  if (!read.ok) throw brokenRule('target', read.reason)
  return { host: read.value.host.text, port: read.value.port, path: '' }
}

function parseHook(target: string): DeliveryTarget {
  const url = target.length <= TARGET_MAX && URL.canParse(target) ? new URL(target) : undefined
  if (url === undefined) throw brokenRule('target', 'https://HOST/PATH')
  if (url.protocol !== 'https:') throw brokenRule('target', 'https only')
  if (url.username !== '' || url.password !== '') throw brokenRule('target', 'no user and password')
  if (url.hash !== '') throw brokenRule('target', 'no fragment')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return { host, port: url.port === '' ? 443 : Number(url.port), path: `${url.pathname}${url.search}` }
}

/**
 * The address to connect to, where the relay may: one of the public internet, or one in a range that the operator has named for
 * deliveries. Without this, who may add a delivery could reach what stands beside the relay.
 * @throws {TunnelError} DELIVERY
 */
export function guardedAddress(address: string, inside: readonly Cidr[]): string {
  const canonical = canonicalAddress(address)
  const kind = canonical && classOf(canonical.ip)
  const isAllowed =
    canonical !== undefined &&
    kind !== undefined &&
    (kind === 'global' || inside.some((cidr) => cidrContains(cidr, canonical.ip) && namesClass(cidr, kind)))
  if (isAllowed) return canonical.dial
  throw new TunnelError(
    'DELIVERY',
    `The target has an address that is not on the internet (${kind ?? 'none'}).`,
    {
      next: 'allow its range: sallyport relay up --delivery-range CIDR',
    },
  )
}

/**
 * The addresses of a host, each of them allowed. They are what is connected to: a name that is asked twice could give two answers.
 * @throws {TunnelError} DELIVERY
 */
export async function guardedAddresses(
  host: string,
  inside: readonly Cidr[],
  ask: (host: string) => Promise<readonly { readonly address: string }[]> = (name) =>
    resolve(name, { all: true }),
): Promise<readonly string[]> {
  const found = await ask(host).catch((cause: unknown) => {
    throw new TunnelError('DELIVERY', 'The name of the target does not resolve.', { cause })
  })
  return found.map(({ address }) => guardedAddress(address, inside))
}

/** Gives a socket the addresses that were looked at, whatever name it asks for. */
export function pinned(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  return (_host, options, done) => {
    const [first] = all
    if (options.all === true) done(null, all)
    else done(first === undefined ? new Error('no address') : null, first?.address ?? '', first?.family)
  }
}
