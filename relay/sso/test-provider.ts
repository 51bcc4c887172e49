import { discover } from './oidc-client.ts'
import type { Provider } from './provider.ts'
import type { Sso } from './sso.ts'

/**
 * Whether a sign-on could begin with this provider, as far as that can be seen without anybody who logs in.
 * @returns what was found, for people
 * @throws {TunnelError} IDENTITY_PROVIDER
 */
export async function testProvider(
  sso: Sso,
  { settings, ...provider }: Provider,
): Promise<readonly string[]> {
  if (settings.kind !== 'oidc') return []
  const { config } = await discover(sso, { ...provider, settings })
  const { issuer, authorization_endpoint, end_session_endpoint, backchannel_logout_supported } =
    config.serverMetadata()
  return [
    `issuer ${issuer}`,
    `logs people in at ${authorization_endpoint}`,
    end_session_endpoint === undefined
      ? 'no logout at the provider'
      : `logs people out at ${end_session_endpoint}`,
    backchannel_logout_supported === true
      ? 'tells the relay of logouts'
      : 'does not say whether it tells the relay of logouts',
  ]
}
