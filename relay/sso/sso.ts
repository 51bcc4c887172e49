import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { isName } from '../../shared/identity/names.ts'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'
import { API_PREFIX } from '../api/routes.ts'
import type { Audit } from '../audit/record.ts'
import { parseInput } from '../operations/run.ts'
import { Expiring } from '../people/expiring.ts'
import type { People } from '../people/people.ts'
import type { ProviderRecord } from '../store/sso-store.ts'
import type { Store } from '../store/store.ts'
import type { Flow } from './flow.ts'
import { type GuardedFetch, guardedFetch, type Resolve } from './guarded-fetch.ts'
import type { OidcClient } from './oidc-client.ts'
import { type Provider, providerSettings } from './provider.ts'
import { SamlThread } from './saml-thread.ts'

/** Limits of what is remembered for the whole relay, and for how long, in ms. */
export const SSO_LIMITS = {
  /** Sign-ons that somebody has begun. */
  flows: 10_000,
  flowMs: 10 * 60_000,
  /** What providers say of themselves. */
  clients: 256,
  clientMs: 3_600_000,
  /** A provider that failed is left alone for so long. */
  failedMs: 10_000,
  /** Tokens and assertions that must not come twice. */
  seen: 100_000,
} as const

export interface SsoOptions {
  readonly store: Store
  readonly effects: Effects
  readonly audit: Audit
  /** Who opens sessions, and where browsers reach the relay; known once it listens. */
  readonly relay: () => { readonly people: People; readonly address: RelayAddress }
  /** Hosts of identity providers that may be inside; see GuardOptions. None where it is left out. */
  readonly insideHosts?: ReadonlySet<string> | undefined
  /** Stands in for the system's resolver in tests. */
  readonly resolve?: Resolve | undefined
}

/** What sign-ons share while the relay runs. What is lost with it is begun again by those who wait. */
export interface Sso extends SsoOptions {
  readonly flows: Expiring<Flow>
  readonly oidcClients: Expiring<Promise<OidcClient>>
  /** What may come only once and has come; the keys say of which provider. */
  readonly seen: Expiring<true>
  /** Where messages of SAML providers are parsed. */
  readonly samlThread: SamlThread
}

export function createSso(options: SsoOptions): Sso {
  return {
    ...options,
    flows: new Expiring(SSO_LIMITS.flows),
    oidcClients: new Expiring(SSO_LIMITS.clients),
    seen: new Expiring(SSO_LIMITS.seen),
    samlThread: new SamlThread(options.effects),
  }
}

/** Where browsers reach the relay: `https://HOST[:PORT]`. */
export function relayOrigin({ relay }: Pick<Sso, 'relay'>): string {
  const { host, port } = relay().address
  return new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`).origin
}

/** The URL of one of the routes of a provider, such as `callback`. */
export function routeUrl(
  sso: Pick<Sso, 'relay'>,
  { tenantId, name }: Pick<Provider, 'tenantId' | 'name'>,
  route: string,
): string {
  return `${relayOrigin(sso)}${API_PREFIX}/sso/${tenantId}/${name}/${route}`
}

/** A fetch that reaches a provider, and nothing inside that the operator has not named. */
export function fetchFor(
  { effects, insideHosts = new Set(), resolve }: Sso,
  ca: string | undefined,
): GuardedFetch {
  return guardedFetch({ effects, insideHosts, resolve, ca })
}

/** @throws {TunnelError} NOT_FOUND, alike for a tenant and for a provider that does not exist */
export async function requireProvider(
  { store }: Pick<Sso, 'store'>,
  tenantId: string,
  name: string,
): Promise<Provider> {
  const record = isName(tenantId) && isName(name) ? await store.findProvider(tenantId, name) : undefined
  if (record === undefined) throw new TunnelError('NOT_FOUND', '', { next: '' })
  return providerOf(tenantId, record)
}

/** A row of the store with its settings checked: they may be of an earlier version. @throws {TunnelError} INPUT */
export function providerOf(tenantId: string, { name, settings, revision }: ProviderRecord): Provider {
  return { tenantId, name, revision, settings: parseInput(providerSettings, JSON.parse(settings)) }
}
