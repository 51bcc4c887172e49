import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { parseName } from '../../shared/identity/names.ts'
import { Secret } from '../../shared/secret.ts'
import type { Relay } from '../relay.ts'
import {
  clientSecret,
  PROVIDER_LIMITS,
  type Provider,
  providerSecret,
  providerSettings,
} from '../sso/provider.ts'
import { makeSamlKey } from '../sso/saml-key.ts'
import { providerOf, requireProvider, routeUrl } from '../sso/sso.ts'
import { testProvider } from '../sso/test-provider.ts'
import { tenantField, tenantPlace, text } from './input.ts'
import { type OperationContext, operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const PATH = '/tenants/{tenant}/identity-providers'

const providerFields = { ...tenantField, provider: text }

/** What has to be entered at the provider. */
const addresses = v.object({
  /** Where it sends browsers back to. */
  callback: v.string(),
  backChannelLogout: v.optional(v.string()),
  frontChannelLogout: v.optional(v.string()),
  /** SAML: what describes this relay; its URL is also the entity ID. */
  metadata: v.optional(v.string()),
  /** SAML: where single log-out is posted. */
  logout: v.optional(v.string()),
  /** Where people begin. */
  start: v.string(),
})

const providerOutput = v.object({
  provider: v.string(),
  revision: v.number(),
  settings: v.looseObject({ kind: v.picklist(['oidc', 'saml']) }),
  addresses,
})

type Shown = v.InferOutput<typeof providerOutput>

const writeInput = v.strictObject({
  ...providerFields,
  settings: providerSettings,
  secret: v.optional(clientSecret),
})

type Written = v.InferOutput<typeof writeInput>

/** What adding and changing have in common. */
const writing = {
  // A provider says who is owner, so it takes an owner to say who is provider.
  right: 'tenant:write',
  isDangerous: true,
  input: writeInput,
  output: providerOutput,
  place: tenantPlace,
} as const

export const addProvider = operation({
  name: 'sso.add',
  summary: 'add an identity provider for single sign-on',
  http: { method: 'POST', path: PATH },
  ...writing,
  async run({ relay, act }, input) {
    const { tenant, provider, settings, secret } = input
    parseName(provider, 'provider')
    requireSecret(input, false)
    const { store, effects } = relay.authority
    const record = { name: provider, kind: settings.kind, settings: JSON.stringify(settings) }
    await store.addProvider(tenant, record, act)
    const kept = settings.kind === 'saml' ? await makeSamlKey(effects) : new Secret(Buffer.from(secret ?? ''))
    if (kept.reveal().length > 0) await store.putSecret(tenant, providerSecret(provider), kept.reveal(), act)
    return shown(relay, { tenantId: tenant, name: provider, settings, revision: 1 })
  },
})

export const updateProvider = operation({
  name: 'sso.update',
  summary: 'give an identity provider other settings, and a new secret where one is sent',
  http: { method: 'PUT', path: `${PATH}/{provider}` },
  ...writing,
  async run({ relay, act }, input) {
    const { tenant, provider, settings, secret } = input
    const { store } = relay.authority
    const known = await requireProvider(relay.sso, tenant, provider)
    requireSecret(input, (await store.getSecret(tenant, providerSecret(provider))) !== undefined)
    if (known.settings.kind !== settings.kind) {
      throw new TunnelError('CONFLICT', `${provider} is a provider of the kind ${known.settings.kind}.`)
    }
    // First the secret: with the new revision the provider is asked anew, with what is kept then.
    if (secret !== undefined)
      await store.putSecret(tenant, providerSecret(provider), Buffer.from(secret), act)
    const record = { name: provider, kind: settings.kind, settings: JSON.stringify(settings) }
    if (!(await store.updateProvider(tenant, record, act))) throw notFound(provider)
    return shown(relay, await requireProvider(relay.sso, tenant, provider))
  },
})

export const removeProvider = operation({
  name: 'sso.remove',
  summary: 'remove an identity provider, the roles that it gave, and the sessions that began there',
  http: { method: 'DELETE', path: `${PATH}/{provider}` },
  right: 'tenant:write',
  isDangerous: true,
  input: v.strictObject(providerFields),
  output: v.object({ provider: v.string() }),
  place: tenantPlace,
  async run({ relay, act }, { tenant, provider }) {
    const { store } = relay.authority
    if (!(await store.removeProvider(tenant, provider, act))) throw notFound(provider)
    await store.removeSecret(tenant, providerSecret(provider), act)
    await relay.enforcement.listeners.check(tenant)
    return { provider }
  },
})

export const listProviders = operation({
  name: 'sso.list',
  summary: 'show the identity providers of a tenant, and what has to be entered there',
  http: { method: 'GET', path: PATH },
  right: 'people:read',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: pageOutput(providerOutput),
  place: tenantPlace,
  async run({ relay }, { tenant, limit, cursor }) {
    // There are few, so a page is cut from all of them.
    const records = await relay.authority.store.listProviders(tenant, '', PROVIDER_LIMITS.count)
    const all = records.map((record) => shown(relay, providerOf(tenant, record)))
    return pageOf(all, ({ provider }) => provider, { limit, cursor })
  },
})

export const checkProvider = operation({
  name: 'sso.test',
  summary: 'ask an identity provider whether a sign-on could begin there',
  http: { method: 'POST', path: `${PATH}/{provider}/test` },
  right: 'tenant:write',
  input: v.strictObject(providerFields),
  output: v.object({ provider: v.string(), found: v.array(v.string()) }),
  place: tenantPlace,
  async run({ relay }: OperationContext, { tenant, provider }) {
    const found = await testProvider(relay.sso, await requireProvider(relay.sso, tenant, provider))
    return { provider, found: [...found] }
  },
})

/** Everything that can be done to identity providers. */
export const SSO_OPERATIONS = [addProvider, updateProvider, removeProvider, listProviders, checkProvider]

/** @throws {TunnelError} INPUT where a secret is missing, or is not used */
function requireSecret({ settings, secret }: Written, isKept: boolean): void {
  const isUsed = settings.kind === 'oidc' && settings.clientAuthentication !== 'none'
  if (isUsed && secret === undefined && !isKept) {
    throw new TunnelError('INPUT', 'The provider wants a client secret.', {
      field: 'secret',
      rule: 'required',
    })
  }
  if (!isUsed && secret !== undefined) {
    throw new TunnelError('INPUT', 'Nothing here uses a secret.', { field: 'secret', rule: 'unused' })
  }
}

function shown({ sso }: Relay, provider: Provider): Shown {
  const at = (route: string) => routeUrl(sso, provider, route)
  const { name, revision, settings } = provider
  return {
    provider: name,
    revision,
    settings,
    addresses:
      settings.kind === 'saml'
        ? { start: at('start'), callback: at('acs'), metadata: at('metadata'), logout: at('logout') }
        : {
            start: at('start'),
            callback: at('callback'),
            backChannelLogout: at('backchannel-logout'),
            frontChannelLogout: at('frontchannel-logout'),
          },
  }
}

function notFound(provider: string): TunnelError {
  return new TunnelError('NOT_FOUND', `There is no identity provider ${provider}.`, {
    next: 'sallyport relay sso list',
  })
}
