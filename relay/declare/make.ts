import { TunnelError } from '../../shared/errors.ts'
import { formatCredentials } from '../../shared/identity/credentials.ts'
import { parseResourceName } from '../../shared/identity/names.ts'
import { signingKeyName } from '../audit/delivery/delivery.ts'
import type { Act } from '../audit/record.ts'
import { issueConnector } from '../authority/invite.ts'
import { parseHours } from '../grants/hours.ts'
import { KEY_BYTES } from '../operations/delivery.ts'
import { makeMachine } from '../operations/machines.ts'
import type { TenantPublication } from '../publications.ts'
import type { Relay } from '../relay.ts'
import { providerSecret } from '../sso/provider.ts'
import type { RestrictionTarget } from '../store/restriction-store.ts'
import type { StoreTogether } from '../store/store.ts'
import { isSameProfile, targetChanges } from './asked.ts'
import type { Change, SectionChange } from './diff.ts'
import type { Items, SectionName } from './document.ts'

/** What was made and is shown this once. */
export interface Issued {
  readonly kind: 'connector' | 'machine' | 'delivery'
  readonly name: string
  /** Of a connector. */
  readonly environment?: string
  /** A secret: the credentials file of a connector, client id and secret of a machine as JSON, the signing key of a webhook. */
  readonly content: string
}

/** One transaction, and what has to follow it. */
export interface Work {
  readonly relay: Pick<Relay, 'address' | 'authority'>
  readonly store: StoreTogether
  readonly tenantId: string
  readonly act: Act
  /** What a provider keeps, by its name: a client secret, or the key of a new SAML provider. */
  readonly secrets: ReadonlyMap<string, Uint8Array>
  readonly issued: Issued[]
  readonly published: { readonly gone: TenantPublication[]; readonly added: TenantPublication[] }
  readonly deliveries: { readonly gone: string[]; readonly added: string[] }
}

type Make = { readonly [Name in SectionName]: (change: SectionChange<Name>, work: Work) => Promise<unknown> }

const MAKE: Make = {
  settings: makeSettings,
  environments: ({ to, name }, { store, tenantId, act }) =>
    to === undefined
      ? store.removeEnvironment(tenantId, name, act)
      : store.addEnvironment(tenantId, name, to.isProduction, act),
  restrictions: makeRestriction,
  connectors: makeConnector,
  grants: makeGrant,
  publications: makePublication,
  deliveries: makeDelivery,
  providers: makeProvider,
  machines: makeMachineAgain,
  roles: makeRole,
  freezes: ({ to, from }, { store, tenantId, act }) => {
    const { kind, environment = '', name = '', reason } = required(to ?? from)
    const target = { kind, environment, name }
    return to === undefined
      ? store.removeFreeze(tenantId, target, act)
      : store.addFreeze(tenantId, { ...target, reason, createdAt: act.at }, act)
  },
}

/** Makes one change. @throws {TunnelError} what the store refuses with */
export async function make(change: Change, work: Work): Promise<void> {
  const one = MAKE[change.section] as (change: Change, work: Work) => Promise<unknown>
  await one(change, work)
}

async function makeSettings(
  { from, to }: SectionChange<'settings'>,
  { store, tenantId, act }: Work,
): Promise<void> {
  const { lockoutFailures, copies, secondFactor } = required(to)
  if (lockoutFailures !== undefined && lockoutFailures !== from?.lockoutFailures) {
    await store.setLockoutAfter(tenantId, lockoutFailures, act)
  }
  if (copies !== undefined && copies !== from?.copies) await store.setCopyResponse(tenantId, copies, act)
  // Where it is so already, nothing changes.
  if (secondFactor !== undefined) await store.demandSecondFactor(tenantId, secondFactor, act)
}

async function makeRestriction({ from, to, name }: SectionChange<'restrictions'>, work: Work): Promise<void> {
  const { store, tenantId, act } = work
  const { added, gone } = targetChanges(from, to)
  for (const target of gone) await store.detachRestriction(tenantId, name, targetOf(target), act)
  if (to === undefined) await store.removeRestriction(tenantId, name, act)
  else if (!isSameProfile(from, to)) {
    await store.putRestriction(tenantId, { name, ranges: to.ranges, ca: to.ca }, act)
  }
  for (const target of added) await store.attachRestriction(tenantId, name, targetOf(target), act)
}

function targetOf({
  kind,
  environment = '',
  target = '',
}: Items['restrictions']['targets'][number]): RestrictionTarget {
  return { kind, environment, target }
}

async function makeConnector({ from, to }: SectionChange<'connectors'>, work: Work): Promise<void> {
  const { relay, store, tenantId, act, issued } = work
  if (to === undefined) {
    const { environment, connector } = required(from)
    await store.revokeConnector(tenantId, await connectorId(work, environment, connector), act)
    return
  }
  const { environment, connector: name } = to
  const location = { addresses: [relay.address], serverName: relay.address.host }
  const made = await issueConnector(
    { ...relay.authority, store },
    tenantId,
    { ...location, environment, name, grants: [] },
    act,
  )
  issued.push({ kind: 'connector', name, environment, content: formatCredentials(made.credentials).reveal() })
}

async function makeGrant({ from, to }: SectionChange<'grants'>, work: Work): Promise<void> {
  const { store, tenantId, act } = work
  const { environment, connector, resource, expiresAt, hours } = required(to ?? from)
  const connectorOf = await connectorId(work, environment, connector)
  const name = parseResourceName(resource)
  if (to === undefined) {
    await store.removeGrant(tenantId, connectorOf, name, act)
    return
  }
  const terms = {
    ...(expiresAt === undefined ? {} : { expiresAt: Date.parse(expiresAt) }),
    ...(hours === undefined ? {} : { hours: parseHours(hours) }),
  }
  await store.putGrant(tenantId, { connectorId: connectorOf, ...name, ...terms }, act)
}

async function makePublication({ from, to }: SectionChange<'publications'>, work: Work): Promise<void> {
  const { store, tenantId, act, published } = work
  const publicationOf = ({ resource, ...rest }: Items['publications']) => ({
    ...{ ...rest, ...parseResourceName(resource), tenantId },
  })
  if (from !== undefined) {
    await store.unpublish(tenantId, from.kind, from.address, act)
    published.gone.push(publicationOf(from))
  }
  if (to !== undefined) {
    const { tenantId: _, ...publication } = publicationOf(to)
    await store.publish(tenantId, publication, act)
    published.added.push(publicationOf(to))
  }
}

async function makeDelivery({ from, to, name }: SectionChange<'deliveries'>, work: Work): Promise<void> {
  const { relay, store, tenantId, act, deliveries, issued } = work
  if (from !== undefined) {
    await store.removeDelivery(tenantId, name, act)
    if (from.kind === 'webhook') await store.removeSecret(tenantId, signingKeyName(name), act)
    deliveries.gone.push(name)
  }
  if (to === undefined) return
  const { kind, target, ca } = to
  const { seq: position } = await store.auditHead(tenantId)
  await store.addDelivery(tenantId, { name, kind, target, ca, position, createdAt: act.at }, act)
  deliveries.added.push(name)
  if (kind !== 'webhook') return
  const key = relay.authority.effects.randomBytes(KEY_BYTES)
  await store.putSecret(tenantId, signingKeyName(name), key, act)
  issued.push({ kind: 'delivery', name, content: key.toString('base64') })
}

async function makeProvider(change: SectionChange<'providers'>, work: Work): Promise<void> {
  const { from, to, name, action } = change
  const { store, tenantId, act, secrets } = work
  if (from !== undefined && action !== 'change') {
    await store.removeProvider(tenantId, name, act)
    await store.removeSecret(tenantId, providerSecret(name), act)
  }
  if (to === undefined) return
  const secret = secrets.get(name)
  if (secret !== undefined) await store.putSecret(tenantId, providerSecret(name), secret, act)
  const record = { name, kind: to.settings.kind, settings: JSON.stringify(to.settings) }
  if (action === 'change') await store.updateProvider(tenantId, record, act)
  else await store.addProvider(tenantId, record, act)
}

async function makeMachineAgain({ from, to, name }: SectionChange<'machines'>, work: Work): Promise<void> {
  const { relay, store, tenantId, act, issued } = work
  if (from !== undefined) {
    const all = await store.listMachines(tenantId)
    const found = all.find((one) => one.name === name && one.revokedAt === undefined)
    await store.revokeMachine(tenantId, required(found).id, act)
  }
  if (to === undefined) return
  const { role, environment, site, viaApi } = to
  const made = await makeMachine(
    { ...relay.authority, store },
    { name, assignment: { tenantId, role, environment, site, viaApi } },
    act,
  )
  const content = JSON.stringify({ client_id: made.clientId, client_secret: made.clientSecret })
  issued.push({ kind: 'machine', name, content })
}

async function makeRole({ from, to }: SectionChange<'roles'>, { store, tenantId, act }: Work): Promise<void> {
  const { person: login, role, environment, site, viaApi } = required(to ?? from)
  const person = required(await store.findPerson(tenantId, login))
  const assignment = { tenantId, role, environment, site, viaApi }
  if (to === undefined) await store.revokeRole(tenantId, person.id, assignment, act)
  else await store.grantRole(tenantId, person.id, assignment, act)
}

async function connectorId({ store, tenantId }: Work, environment: string, name: string): Promise<string> {
  return required(await store.findConnectorByName(tenantId, environment, name)).id
}

/** The plan was made within the same transaction, so what it names is there. */
function required<T>(found: T | undefined): T {
  if (found === undefined) throw new TunnelError('INTERNAL', 'What the plan names is not there.')
  return found
}
