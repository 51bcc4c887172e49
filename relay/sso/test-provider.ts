import { X509Certificate } from 'node:crypto'
import { TunnelError } from '../../shared/errors.ts'
import { discover } from './oidc-client.ts'
import type { Provider, SamlSettings } from './provider.ts'
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
  if (settings.kind === 'saml') return certificateLines(sso, settings)
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

/** Nothing is asked of a SAML provider but through browsers, so its certificates are all that can be looked at. */
function certificateLines({ effects }: Sso, { entityId, certificates }: SamlSettings): readonly string[] {
  const read = certificates.map((pem) => new X509Certificate(pem))
  const good = read.filter(({ validToDate }) => validToDate.getTime() > effects.date())
  if (good.length === 0)
    throw new TunnelError('IDENTITY_PROVIDER', 'All its certificates are past their end.')
  return [
    `issuer ${entityId}`,
    ...good.map(({ validToDate }) => `signs until ${validToDate.toISOString().slice(0, 10)}`),
  ]
}
