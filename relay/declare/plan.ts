import { createHash, timingSafeEqual } from 'node:crypto'
import { brokenRule } from '../../shared/broken-rule.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { OperationContext } from '../operations/operation.ts'
import { may } from '../operations/run.ts'
import { providerSecret } from '../sso/provider.ts'
import type { StoreTogether } from '../store/store.ts'
import { canonicalContents, pathOf } from './canonical.ts'
import { type Change, differences } from './diff.ts'
import {
  type Contents,
  contentsOf,
  DECLARE_LIMITS,
  type Document,
  type Items,
  SECTION_NAMES,
  type SectionName,
} from './document.ts'
import { keyOf } from './keys.ts'
import { checkReferences } from './references.ts'
import { READ_RIGHTS, readContents } from './state.ts'

/** What would be done. */
export interface Draft {
  readonly tenantId: string
  readonly sections: readonly SectionName[]
  readonly changes: readonly Change[]
  /** SHA-256 in hexadecimal of what there is in these sections and what is wanted: the same as long as both are. */
  readonly digest: string
  /** Client secrets that are not those that are kept, by provider. */
  readonly secrets: ReadonlyMap<string, string>
}

/**
 * Works out what has to be done so that a tenant is as it is declared. Nothing changes.
 *
 * @param store what to read: that of a transaction, where one runs
 * @throws {TunnelError} INPUT with the path of the member; CONFIG where it is more than is done at once; OVERLOADED, STORE
 */
export async function draftOf(
  { relay, act }: Pick<OperationContext, 'relay' | 'act'>,
  store: StoreTogether,
  tenantId: string,
  document: Document,
): Promise<Draft> {
  const said = canonicalContents(contentsOf(document))
  checkNames(said, relay)
  const sections = SECTION_NAMES.filter((name) => said[name] !== undefined)
  const current = await readContents(store, tenantId, sections)
  const wanted = withSettings(withoutSecrets(withoutOver(said, current, act.at)), current)
  const secrets = await newSecrets(store, tenantId, said.providers ?? [])
  const changes = differences(current, wanted, new Set(secrets.keys()))
  if (changes.length > DECLARE_LIMITS.changes) {
    throw new TunnelError(
      'CONFIG',
      `These are ${changes.length} changes; ${DECLARE_LIMITS.changes} are made at once.`,
      {
        next: 'declare it in several files, or one section after the other',
      },
    )
  }
  await checkReferences(store, tenantId, said, wanted, changes)
  checkSecrets(said.providers ?? [], changes)
  return { tenantId, sections, changes, secrets, digest: digestOf(tenantId, current, wanted, secrets) }
}

/**
 * Who plans sees what there is: so it takes the rights of the lists that show it, in the whole tenant.
 * @throws {TunnelError} FORBIDDEN naming the right
 */
export async function checkReading(
  context: OperationContext,
  tenantId: string,
  document: Document,
): Promise<void> {
  for (const name of SECTION_NAMES) {
    if (document[name] !== undefined && !(await may(context, READ_RIGHTS[name], { tenantId }))) {
      throw new TunnelError(
        'FORBIDDEN',
        `The section ${name} needs ${READ_RIGHTS[name]} in the whole tenant.`,
      )
    }
  }
  // The plan says whether it is the one that is kept, which only who may set it may learn.
  const hasSecrets = document.providers?.some(({ secret }) => secret !== undefined) === true
  if (hasSecrets && !(await may(context, 'tenant:write', { tenantId }))) {
    throw new TunnelError('FORBIDDEN', 'The secret of a provider needs tenant:write.')
  }
}

/** @throws {TunnelError} INPUT */
function checkNames({ publications = [] }: Contents, relay: OperationContext['relay']): void {
  for (const [at, { kind, address }] of publications.entries()) {
    if (kind !== 'tcp' && address === relay.address.host) {
      throw brokenRule(`${pathOf('publications', at)}.address`, 'not the name of the relay itself')
    }
  }
}

/** A grant that is over gives nothing: it need not be made, and may stay where it is the same. */
function withoutOver(said: Contents, current: Contents, now: number): Contents {
  if (said.grants === undefined) return said
  const kept = new Map(current.grants?.map((grant) => [keyOf('grants', grant), grant.expiresAt]))
  const grants = said.grants.filter(
    (grant) =>
      grant.expiresAt === undefined ||
      Date.parse(grant.expiresAt) > now ||
      kept.get(keyOf('grants', grant)) === grant.expiresAt,
  )
  return { ...said, grants }
}

/** A setting that is left out stays as it is. */
function withSettings(said: Contents, current: Contents): Contents {
  return said.settings === undefined
    ? said
    : { ...said, settings: said.settings.map((one) => ({ ...current.settings?.[0], ...one })) }
}

function withoutSecrets(said: Contents): Contents {
  if (said.providers === undefined) return said
  return { ...said, providers: said.providers.map(({ secret: _, ...provider }) => provider) }
}

async function newSecrets(
  store: StoreTogether,
  tenantId: string,
  providers: readonly Items['providers'][],
): Promise<ReadonlyMap<string, string>> {
  const changed = new Map<string, string>()
  for (const { provider, secret } of providers) {
    if (secret === undefined) continue
    const kept = (await store.getSecret(tenantId, providerSecret(provider)))?.reveal()
    const given = Buffer.from(secret)
    const isKept = kept !== undefined && kept.length === given.length && timingSafeEqual(kept, given)
    if (!isKept) changed.set(provider, secret)
  }
  return changed
}

/** As when a provider is added or changed by hand. @throws {TunnelError} INPUT */
function checkSecrets(providers: readonly Items['providers'][], changes: readonly Change[]): void {
  const added = new Set(
    changes
      .filter(
        ({ section, action }) => section === 'providers' && (action === 'create' || action === 'replace'),
      )
      .map(({ name }) => name),
  )
  for (const [at, { provider, settings, secret }] of providers.entries()) {
    const isUsed = settings.kind === 'oidc' && settings.clientAuthentication !== 'none'
    const path = `${pathOf('providers', at)}.secret`
    if (!isUsed && secret !== undefined) throw brokenRule(path, 'nothing here uses a secret')
    if (isUsed && secret === undefined && added.has(provider))
      throw brokenRule(path, 'a new provider needs its secret')
  }
}

function digestOf(
  tenantId: string,
  current: Contents,
  wanted: Contents,
  secrets: ReadonlyMap<string, string>,
): string {
  const whole = [tenantId, sorted(current), sorted(wanted), [...secrets.keys()].sort()]
  return createHash('sha256').update(JSON.stringify(whole)).digest('hex')
}

/** Lists in the order of their keys, members in that of their names: the same text for the same contents. */
function sorted(contents: Contents): unknown {
  return SECTION_NAMES.map((name) => [
    name,
    contents[name]
      ?.map((item) => [keyOf(name, item as never), JSON.stringify(item, inOrder)] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  ])
}

function inOrder(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
}
