import type { Cidr } from './cidr.ts'
import type { Host } from './host.ts'

/** How a stream to a resource is spoken: raw bytes, or HTTP requests that the agent looks into. */
export type Protocol = 'tcp' | 'http'

/** How the agent asks a target whether it is well (docs/health.md); `none` leaves it alone. */
export const PROBE_KINDS = [
  'none',
  'tcp',
  'tls',
  'http',
  'postgres',
  'mysql',
  'redis',
  'ldap',
  'smtp',
] as const
export type ProbeKind = (typeof PROBE_KINDS)[number]

/** One entry of the site's rules: what the agent may reach in the name of one resource. */
export interface Rule {
  /** The only thing the relay may name (`isName`). */
  readonly resource: string
  readonly protocol: Protocol
  readonly host: Host
  /** 1 to 65535. */
  readonly port: number
  /** Where not empty, the only addresses the host may resolve to. */
  readonly cidrs: readonly Cidr[]
  /** `private` refuses global addresses, `public` refuses private ones: a rebound name cannot cross over. */
  readonly expect?: 'private' | 'public'
  readonly allowLoopback: boolean
  readonly allowLinkLocal: boolean
  readonly allowMetadata: boolean
  /** Only with protocol `http`. */
  readonly http?: HttpRule
  /** Streams at once, 1 to 4,096; absent: only the agent's own limits. */
  readonly maxStreams?: number
  /** True where the text of a failed dial may cross to the connector. */
  readonly detail: boolean
  /** Streams outlive a lost path; false ends them with it. */
  readonly resume: boolean
  /** How the target's health is asked; absent: by protocol and port. */
  readonly probe?: ProbeKind
}

/** What narrows requests to an HTTP resource. */
export interface HttpRule {
  /** Upper-case methods that may pass; empty: all but CONNECT and TRACE. */
  readonly methods: readonly string[]
  /** Absolute paths without query; a path matches whole segments only. Empty: every path. */
  readonly pathPrefixes: readonly string[]
  /** Host header for the target; absent: HOST:PORT of the rule. */
  readonly hostHeader?: string
}

/** The rules in force, by resource name. An empty map denies everything. */
export type Rules = ReadonlyMap<string, Rule>
