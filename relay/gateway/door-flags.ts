import { parseDuration } from '../../shared/config/duration.ts'
import { TunnelError } from '../../shared/errors.ts'
import { isWrapperRange } from '../../shared/policy/address.ts'
import { type Cidr, parseCidr } from '../../shared/policy/cidr.ts'
import type { AdmissionLimits } from './admission.ts'

/** Of `relay up`: whose word about addresses counts, and what those get who have proved nothing yet. */
export interface DoorFlags {
  readonly proxyFrom?: readonly string[]
  /** NAME=VALUE each; see `LIMITS`. */
  readonly limit?: readonly string[]
}

/** Bounds of a limit, both included. `time`: a duration, in ms. */
interface Bounds {
  readonly key: keyof AdmissionLimits
  readonly kind: 'count' | 'time'
  readonly min: number
  readonly max: number
}

/** Half of all connections: neither strangers nor visitors may have the place of the tunnels. */
const MOST_CONNECTIONS = 8_000
const TIME = { kind: 'time', min: 1_000, max: 120_000 } as const

const LIMITS: ReadonlyMap<string, Bounds> = new Map<string, Bounds>([
  ['pending-per-address', { key: 'pendingPerAddress', kind: 'count', min: 1, max: MOST_CONNECTIONS }],
  ['pending', { key: 'pending', kind: 'count', min: 1, max: MOST_CONNECTIONS }],
  ['visitors', { key: 'visitors', kind: 'count', min: 1, max: MOST_CONNECTIONS }],
  ['tunnels-per-second', { key: 'tunnelsPerSecond', kind: 'count', min: 1, max: 10_000 }],
  ['tunnel-burst', { key: 'tunnelBurst', kind: 'count', min: 1, max: 100_000 }],
  ['enrollments-per-minute', { key: 'enrollmentsPerMinute', kind: 'count', min: 1, max: 100_000 }],
  ['handshake', { key: 'handshakeMs', ...TIME }],
  ['headers', { key: 'headersMs', ...TIME }],
  ['body', { key: 'bodyMs', ...TIME }],
  ['answer', { key: 'answerMs', ...TIME }],
])

/** @throws {TunnelError} CONFIG naming the flag and what is wrong with it */
export function readDoorFlags({ proxyFrom = [], limit = [] }: DoorFlags): {
  readonly proxies: readonly Cidr[]
  readonly limits: Partial<AdmissionLimits>
} {
  return { proxies: proxyFrom.map(readProxy), limits: Object.fromEntries(limit.map(readLimit)) }
}

/** @throws {TunnelError} CONFIG */
export function readRange(flag: string, text: string): Cidr {
  const range = parseCidr(text)
  if (range.ok) return range.value
  throw new TunnelError('CONFIG', `${flag} ${text}: ${range.reason}.`)
}

function readProxy(text: string): Cidr {
  const range = readRange('--proxy-from', text)
  if (range.prefix === 0)
    throw new TunnelError(
      'CONFIG',
      `--proxy-from ${text}: that is everybody, and anybody could say anything.`,
      {
        next: 'name the addresses of the load balancer',
      },
    )
  if (isWrapperRange(range))
    throw new TunnelError('CONFIG', `--proxy-from ${text}: IPv4 addresses are written as such, 192.0.2.0/24.`)
  return range
}

function readLimit(text: string): readonly [keyof AdmissionLimits, number] {
  const [, name = '', value = ''] = /^([a-z-]+)=(.+)$/.exec(text) ?? []
  const bounds = LIMITS.get(name)
  if (bounds === undefined)
    throw new TunnelError(
      'CONFIG',
      `--limit ${text}: it is NAME=VALUE, NAME one of ${[...LIMITS.keys()].join(', ')}.`,
    )
  return [bounds.key, bounds.kind === 'time' ? readTime(text, value, bounds) : readCount(text, value, bounds)]
}

function readTime(text: string, value: string, bounds: Bounds): number {
  try {
    return parseDuration(value, bounds)
  } catch (cause) {
    throw new TunnelError('CONFIG', `--limit ${text}: ${(cause as TunnelError).detail}`, { cause })
  }
}

function readCount(text: string, value: string, { min, max }: Bounds): number {
  const count = /^[0-9]{1,6}$/.test(value) ? Number(value) : Number.NaN
  if (count >= min && count <= max) return count
  throw new TunnelError('CONFIG', `--limit ${text}: a number from ${min} to ${max}.`)
}
