import { type AddressClass, canonicalAddress, classOf, namesClass } from './address.ts'
import { cidrContains } from './cidr.ts'
import { type HttpRequestLine, type RequestDenial, requestDenial } from './request.ts'
import type { Protocol, Rule, Rules } from './rule.ts'

/** What the relay asked for. */
export interface Request {
  readonly resource: string
  readonly protocol: Protocol
}

/** The rule that applies, or why none does. Both denials look the same to the relay. */
export type Decision =
  | { readonly allowed: true; readonly rule: Rule }
  | { readonly allowed: false; readonly reason: 'no-rule' | 'other-protocol' }

/** Addresses of this host and of the relays, as `canonicalAddress().text`. */
export interface AddressContext {
  readonly own: ReadonlySet<string>
  readonly relay: ReadonlySet<string>
}

/** Why an address is not dialled. */
export type AddressDenial =
  | Exclude<AddressClass, 'private' | 'global'>
  | 'not-an-address'
  | 'own-address'
  | 'relay-address'
  | 'outside-cidr'
  | 'not-private'
  | 'not-public'

/** `dial` is the number to connect to; there is no other way to a target. */
export type AddressVerdict =
  | { readonly allowed: true; readonly dial: string }
  | { readonly allowed: false; readonly reason: AddressDenial }

/** What a running stream was opened for. */
export interface LiveTarget extends Request {
  readonly host: string
  readonly port: number
  /** The number it is connected to; absent while it is being dialled. */
  readonly address?: string
  /** The HTTP request under way. */
  readonly request?: HttpRequestLine
}

/** The word in rules.toml that opens each class which needs one. */
const WORDS = {
  loopback: 'allow_loopback',
  'link-local': 'allow_link_local',
  metadata: 'allow_metadata',
} as const

/** Looks up what the relay named. It cannot name a host, so there is nothing here that it could widen. */
export function decide(rules: Rules, request: Request): Decision {
  const rule = rules.get(request.resource)
  if (rule === undefined) return { allowed: false, reason: 'no-rule' }
  // A raw stream to an HTTP resource would walk past its methods and paths.
  if (rule.protocol !== request.protocol) return { allowed: false, reason: 'other-protocol' }
  return { allowed: true, rule }
}

/** Whether `rule` lets the agent connect to `address`: a literal, or one answer of the resolver. */
export function checkAddress(rule: Rule, address: string, context: AddressContext): AddressVerdict {
  const canonical = canonicalAddress(address)
  if (canonical === undefined) return { allowed: false, reason: 'not-an-address' }
  const { ip, text } = canonical
  const kind = classOf(ip)
  const inRule = rule.cidrs.filter((cidr) => cidrContains(cidr, ip))
  const isNamed = inRule.some((cidr) => namesClass(cidr, kind))
  const reason =
    classDenial(rule, kind, isNamed) ??
    selfDenial(rule, text, context) ??
    (rule.cidrs.length > 0 && inRule.length === 0 ? 'outside-cidr' : undefined) ??
    expectDenial(rule, kind)
  return reason === undefined ? { allowed: true, dial: canonical.dial } : { allowed: false, reason }
}

/** Whether the rules of now still allow a stream that older rules let in: the same target, and under no new ban. */
export function stillAllows(rules: Rules, live: LiveTarget, context: AddressContext): boolean {
  const decision = decide(rules, live)
  if (!decision.allowed) return false
  const { rule } = decision
  if (rule.host.text !== live.host || rule.port !== live.port) return false
  if (live.address !== undefined && !checkAddress(rule, live.address, context).allowed) return false
  return live.request === undefined || requestDenial(rule.http, live.request) === undefined
}

/** What to tell the administrator about a denied address, with the word that would allow it. */
export function explainDenial(reason: AddressDenial | RequestDenial): string {
  const word = (WORDS as Partial<Record<string, string>>)[reason]
  if (word !== undefined) return `${reason} needs ${word} = true in the rule`
  return EXPLANATIONS[reason as keyof typeof EXPLANATIONS]
}

const EXPLANATIONS: Record<Exclude<AddressDenial | RequestDenial, keyof typeof WORDS>, string> = {
  unspecified: 'the unspecified address is never dialled',
  multicast: 'multicast is never dialled',
  broadcast: 'broadcast is never dialled',
  reserved: 'a reserved range needs a cidr in the rule that lies in it',
  'not-an-address': 'the resolver gave something that is no address',
  'own-address': 'an address of this host needs allow_loopback = true in the rule',
  'relay-address': 'the relay itself needs allow_loopback = true in the rule',
  'outside-cidr': 'it lies outside cidr of the rule',
  'not-private': 'a global address where the rule has expect = "private"',
  'not-public': 'a private address where the rule has expect = "public"',
  method: 'methods of the rule do not hold it',
  path: 'path_prefixes of the rule do not hold it',
  'request-target': 'the request target is not a plain absolute path',
}

function classDenial(rule: Rule, kind: AddressClass, isNamed: boolean): AddressDenial | undefined {
  switch (kind) {
    case 'private':
    case 'global':
      return undefined
    case 'loopback':
      return rule.allowLoopback || isNamed ? undefined : kind
    case 'link-local':
      return rule.allowLinkLocal || isNamed ? undefined : kind
    case 'metadata':
      return rule.allowMetadata || isNamed ? undefined : kind
    case 'reserved':
      return isNamed ? undefined : kind
    // No word opens these: a TCP connection to them reaches something else than it says, or nothing.
    case 'unspecified':
    case 'multicast':
    case 'broadcast':
      return kind
  }
}

function selfDenial(rule: Rule, text: string, context: AddressContext): AddressDenial | undefined {
  // Services on this host trust whoever comes from it, under its LAN address no less than under 127.0.0.1.
  if (rule.allowLoopback) return undefined
  if (context.own.has(text)) return 'own-address'
  return context.relay.has(text) ? 'relay-address' : undefined
}

function expectDenial(rule: Rule, kind: AddressClass): AddressDenial | undefined {
  if (rule.expect === 'private' && kind === 'global') return 'not-private'
  return rule.expect === 'public' && kind === 'private' ? 'not-public' : undefined
}
