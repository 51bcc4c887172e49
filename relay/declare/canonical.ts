import { brokenRule } from '../../shared/broken-rule.ts'
import { parseListenAddress } from '../../shared/cli/listen-address.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { formatResourceName, parseName, parseResourceName } from '../../shared/identity/names.ts'
import { formatListening } from '../../shared/tunnel/tcp-listener.ts'
import { parseTarget } from '../audit/delivery/target.ts'
import { GRANTS_MAX } from '../authority/invite.ts'
import { formatHours, parseHours } from '../grants/hours.ts'
import { checkCertificates } from '../operations/delivery.ts'
import { publicName } from '../operations/publications.ts'
import { parseLogin } from '../people/login-name.ts'
import { formatRanges, parseCa, parseRanges } from '../restrictions/restriction.ts'
import { type Contents, type Items, SECTION_NAMES, type SectionName } from './document.ts'
import { keyOf } from './keys.ts'

/** Reads one member; where it is not right, the error names it. */
type Member = <T>(name: string, read: () => T) => T

type Canonical = { readonly [Name in SectionName]: (item: Items[Name], member: Member) => Items[Name] }

/** What is said in one way only: so what is there and what is wanted are the same where they mean the same. */
const CANONICAL: Canonical = {
  settings: (item) => item,
  environments: (item) => item,
  restrictions: ({ restriction, ranges, ca, targets }, member) => ({
    restriction,
    ranges: member('ranges', () => formatRanges(parseRanges(ranges)).sort()),
    ...(ca === undefined ? {} : { ca: member('ca', () => parseCa(ca).toString()) }),
    targets: member('targets', () => canonicalTargets(targets)),
  }),
  connectors: (item) => item,
  grants: ({ expiresAt, hours, ...item }, member) => ({
    ...item,
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    ...(hours === undefined ? {} : { hours: member('hours', () => formatHours(parseHours(hours))) }),
  }),
  publications: ({ address, ...item }, member) => ({
    ...item,
    address: member('address', () => canonicalAddress(item.kind, address)),
  }),
  deliveries: ({ ca, ...item }, member) => {
    member('target', () => parseTarget(item))
    member('ca', () => checkCertificates(ca))
    return { ...item, ...(ca === undefined ? {} : { ca: `${ca.trim()}\n` }) }
  },
  providers: (item) => item,
  machines: (item, member) => withPlace(item, member),
  roles: (item, member) =>
    withPlace({ ...item, person: member('person', () => parseLogin(item.person)) }, member),
  freezes: (item, member) => canonicalFreeze(item, member),
}

/**
 * What is declared in its one form, in the order in which it stands there.
 * @throws {TunnelError} INPUT with the path of the member and the rule that it breaks
 */
export function canonicalContents(contents: Contents): Contents {
  const whole: { [Name in SectionName]?: readonly Items[Name][] } = {}
  for (const name of SECTION_NAMES) canonicalSection(name, contents, whole)
  checkGrantCounts(whole)
  return whole
}

function canonicalSection<Name extends SectionName>(
  name: Name,
  contents: { readonly [One in Name]?: readonly Items[One][] | undefined },
  whole: { [One in Name]?: readonly Items[One][] },
): void {
  const items = contents[name]
  if (items === undefined) return
  const seen = new Map<string, number>()
  whole[name] = items.map((item, at) => {
    const canonical = withoutUndefined(CANONICAL[name](item, memberOf(pathOf(name, at))))
    const key = keyOf(name, canonical)
    const before = seen.get(key)
    if (before !== undefined)
      throw brokenRule(pathOf(name, at), `once only, and ${pathOf(name, before)} is the same`)
    seen.set(key, at)
    return canonical
  })
}

/** Where an item stands in the document. */
export function pathOf(name: SectionName, at: number): string {
  return name === 'settings' ? name : `${name}.${at}`
}

function memberOf(path: string): Member {
  return (name, read) => {
    try {
      return read()
    } catch (error) {
      if (!isTunnelError(error)) throw error
      throw brokenRule(`${path}.${name}`, error.rule ?? error.detail.replace(/\.$/, ''))
    }
  }
}

function withoutUndefined<Item extends object>(item: Item): Item {
  return Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined)) as Item
}

function canonicalTargets(targets: Items['restrictions']['targets']): Items['restrictions']['targets'] {
  const sorted = targets.map(canonicalTarget).sort((one, other) => (textOf(one) < textOf(other) ? -1 : 1))
  const twice = sorted.find((one, at) => at > 0 && textOf(one) === textOf(sorted[at - 1] ?? one))
  if (twice !== undefined) throw new TunnelError('CONFIG', `each target once, not ${textOf(twice)} twice`)
  return sorted
}

function canonicalTarget(
  one: Items['restrictions']['targets'][number],
): Items['restrictions']['targets'][number] {
  const { kind, environment, target } = one
  if ((target === undefined) !== (kind === 'logins')) {
    throw new TunnelError('CONFIG', 'what is restricted has a name, but for the logins')
  }
  if (kind === 'logins') return { kind }
  if (kind === 'person') return { kind, target }
  if (environment === undefined) throw new TunnelError('CONFIG', `a ${kind} is in an environment`)
  if (kind === 'resource') parseResourceName(target ?? '')
  return { kind, environment, target }
}

function textOf({ kind, environment = '', target = '' }: Items['restrictions']['targets'][number]): string {
  return `${kind} ${environment} ${target}`
}

function canonicalAddress(kind: Items['publications']['kind'], address: string): string {
  if (kind !== 'tcp') return publicName(address, kind)
  const { host, port } = parseListenAddress(address)
  if (port === 0) throw new TunnelError('CONFIG', 'a port of its own, not 0')
  return formatListening(host, port)
}

function withPlace<
  Item extends { readonly environment?: string | undefined; readonly site?: string | undefined },
>(item: Item, member: Member): Item {
  return member('environment', () => {
    if (item.site !== undefined && item.environment === undefined) {
      throw new TunnelError('CONFIG', 'a site is in an environment')
    }
    return item
  })
}

function canonicalFreeze({ kind, ...item }: Items['freezes'], member: Member): Items['freezes'] {
  const { reason } = item
  if (kind === 'tenant') return { kind, reason }
  const environment = member('environment', () => parseName(item.environment ?? '', 'environment'))
  const name = member('name', () =>
    kind === 'resource'
      ? formatResourceName(parseResourceName(item.name ?? ''))
      : parseName(item.name ?? '', kind),
  )
  return { kind, environment, name, reason }
}

function checkGrantCounts({ grants = [] }: Contents): void {
  const byConnector = Map.groupBy(grants, ({ environment, connector }) => `${environment} ${connector}`)
  for (const [, some] of byConnector) {
    if (some.length > GRANTS_MAX) throw brokenRule('grants', `at most ${GRANTS_MAX} of one connector`)
  }
}
