import type { JWTVerifyGetKey } from 'jose'
import type { ClientAuth, Configuration } from 'openid-client'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import type { GuardedFetch, GuardedRequest } from './guarded-fetch.ts'
import { type OidcSettings, type Provider, providerSecret } from './provider.ts'
import { reasonOf } from './reason.ts'
import { fetchFor, SSO_LIMITS, type Sso } from './sso.ts'

/** How far the provider's clock may be off, in seconds. */
export const CLOCK_TOLERANCE_S = 60

/** What the relay knows of an OpenID provider: what it says of itself, and how it signs. */
export interface OidcClient {
  readonly config: Configuration
  readonly keys: JWTVerifyGetKey
}

export type OidcProvider = Provider<OidcSettings>

/**
 * The client of a provider. Its discovery document is read once an hour, and again after a change of the settings.
 * @throws {TunnelError} IDENTITY_PROVIDER, at once where it failed a moment ago
 */
export function oidcClientOf(sso: Sso, provider: OidcProvider): Promise<OidcClient> {
  const { oidcClients, effects } = sso
  const key = `${provider.tenantId}/${provider.name}/${provider.revision}`
  const now = effects.now()
  const known = oidcClients.get(key, now)
  if (known !== undefined) return known
  const made = discover(sso, provider)
  oidcClients.set(key, made, now + SSO_LIMITS.clientMs, now)
  made.catch(() => {
    const failedAt = effects.now()
    void oidcClients.take(key, failedAt)
    oidcClients.set(key, made, failedAt + SSO_LIMITS.failedMs, failedAt)
  })
  return made
}

/** As {@link oidcClientOf}, without looking at what is known. */
export async function discover(sso: Sso, provider: OidcProvider): Promise<OidcClient> {
  const { issuer, clientId, ca } = provider.settings
  const [client, { createRemoteJWKSet, customFetch }] = await Promise.all([
    import('openid-client'),
    import('jose'),
  ])
  const fetch = fetchFor(sso, ca)
  try {
    const config = await client.discovery(
      new URL(issuer),
      clientId,
      {
        [client.clockTolerance]: CLOCK_TOLERANCE_S,
        [client.clockSkew]: Math.round((sso.effects.date() - Date.now()) / 1_000),
      },
      await clientAuth(sso, provider),
      {
        // Without it the signature of an ID token from the token endpoint would be left to TLS.
        execute: [client.enableNonRepudiationChecks],
        [client.customFetch]: (url: string, options: GuardedRequest) => fetch(url, options),
      },
    )
    const { jwks_uri } = config.serverMetadata()
    if (jwks_uri === undefined) throw new TunnelError('IDENTITY_PROVIDER', 'It names no jwks_uri.')
    const jwksFetch: GuardedFetch = (url, { headers, signal } = {}) =>
      fetch(url, { signal, ...(headers === undefined ? {} : { headers }) })
    return { config, keys: createRemoteJWKSet(new URL(jwks_uri), { [customFetch]: jwksFetch }) }
  } catch (cause) {
    throw providerFault(cause)
  }
}

/** What the libraries say went wrong, in our words: what our own fetch has refused is said as it is. */
export function providerFault(cause: unknown): TunnelError {
  for (let one = cause; one instanceof Error; one = one.cause) if (isTunnelError(one)) return one
  return new TunnelError('IDENTITY_PROVIDER', `${reasonOf(cause)}.`, { cause })
}

async function clientAuth(sso: Sso, { tenantId, name, settings }: OidcProvider): Promise<ClientAuth> {
  const client = await import('openid-client')
  if (settings.clientAuthentication === 'none') return client.None()
  const secret = await sso.store.getSecret(tenantId, providerSecret(name))
  if (secret === undefined) throw new TunnelError('IDENTITY_PROVIDER', 'The client secret is missing.')
  const text = secret.reveal().toString('utf8')
  return settings.clientAuthentication === 'basic'
    ? client.ClientSecretBasic(text)
    : client.ClientSecretPost(text)
}
