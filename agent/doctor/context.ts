import type { X509Certificate } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import type { TunnelError } from '../../shared/errors.ts'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'
import type { ClientIdentity } from '../../shared/identity/relay-tls.ts'
import type { Network } from '../../shared/network/network.ts'
import type { Rules } from '../../shared/policy/rule.ts'
import type { Finding } from './finding.ts'

/** What is known of the relay's CA before anything was dialled. */
export type ExpectedCa =
  /** PEM; the agent has joined. */
  | { readonly kind: 'certificate'; readonly pem: string }
  /** SPKI hash of a join string, 32 bytes. */
  | { readonly kind: 'pin'; readonly pin: Buffer }
  /** Only an address was given. */
  | { readonly kind: 'unknown' }

/** All that a doctor is told. */
export interface Examination {
  /** 1 to 4, in the order in which they are tried. */
  readonly addresses: readonly RelayAddress[]
  /** What the certificate of the relay must bear. */
  readonly serverName: string
  readonly expected: ExpectedCa
  /** Undefined before joining. */
  readonly client?: ClientIdentity
  /** The data directory of an agent that has joined. */
  readonly directory?: string
  /** Undefined before joining, and where the file is not right. */
  readonly rules?: Rules
  /** Why there are none. */
  readonly rulesFault?: TunnelError
  readonly network: Network
  readonly effects: Effects
  /** Longest silence that is tried, in seconds. */
  readonly idleSeconds: number
}

/** What the checks of one path have found so far, for the checks that build on it. */
export interface Seen {
  /** The first way out, as people write it; undefined where it is the direct one. */
  proxy?: string
  /** Numbers behind the name. */
  numbers?: readonly string[]
  /** True where a TCP connection by some way stands. */
  isReached?: boolean
  /** What the other end presented, the leaf first, where its name and its time hold. */
  chain?: readonly X509Certificate[]
  /** True where that is the relay itself: only then are we shown to it. */
  isRelay?: boolean
  /** True where an upgraded connection carried a message there and back. */
  isUpgraded?: boolean
}

/** What a check of the site works with. */
export interface SiteContext extends Examination {
  /** Also carries the deadline of the check. */
  readonly signal: AbortSignal
}

/** What a check of the path to one address works with. */
export interface PathContext extends SiteContext {
  readonly address: RelayAddress
  readonly seen: Seen
}

/** One line of the table of checks. */
export interface Check<Context> {
  readonly name: string
  /** What is being waited for, for a person. */
  readonly label: string
  /** For the whole check, in ms; undefined where it has deadlines of its own. */
  readonly deadlineMs?: number
  /** Why there is no use in it after what was seen; undefined where there is. */
  readonly skip?: (context: Context) => string | undefined
  readonly look: (context: Context) => Promise<readonly Finding[]>
}
