import type { IDToken } from 'openid-client'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import type { Flow } from './flow.ts'
import { type Claims, claimTexts } from './map-roles.ts'
import { CLOCK_TOLERANCE_S, type OidcProvider, oidcClientOf, providerFault } from './oidc-client.ts'
import { reasonOf } from './reason.ts'
import type { Vouched } from './sign-in.ts'
import { relayOrigin, routeUrl, type Sso } from './sso.ts'

/** Where the browser goes to log in, and what the end has to fit to (authorization code with PKCE, state and nonce). */
export async function beginOidc(
  sso: Sso,
  provider: OidcProvider,
  wish: Pick<Flow, 'returnTo' | 'isFresh'>,
): Promise<{ readonly url: string; readonly flow: Flow }> {
  const client = await import('openid-client')
  const { config } = await oidcClientOf(sso, provider)
  const flow = {
    ...{ tenantId: provider.tenantId, provider: provider.name, revision: provider.revision },
    ...wish,
    begunAt: sso.effects.date(),
    state: random(sso),
    nonce: random(sso),
    verifier: random(sso),
  }
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: routeUrl(sso, provider, 'callback'),
    scope: [...new Set(['openid', ...provider.settings.scopes])].join(' '),
    state: flow.state,
    nonce: flow.nonce,
    code_challenge: await client.calculatePKCECodeChallenge(flow.verifier),
    code_challenge_method: 'S256',
    ...(wish.isFresh ? { prompt: 'login', max_age: '0' } : {}),
  })
  return { url: url.href, flow }
}

/**
 * Trades the code for an ID token and checks all of it: state, issuer of the answer, signature, issuer, audience, times,
 * nonce; after a forced login also when that was.
 * @param answer the parameters of the redirect
 * @throws {TunnelError} SIGN_ON, IDENTITY_PROVIDER
 */
export async function endOidc(
  sso: Sso,
  provider: OidcProvider,
  flow: Flow,
  answer: Readonly<Record<string, string | undefined>>,
): Promise<Vouched> {
  const client = await import('openid-client')
  const { config } = await oidcClientOf(sso, provider)
  const url = new URL(routeUrl(sso, provider, 'callback'))
  for (const [name, value] of Object.entries(answer))
    if (value !== undefined) url.searchParams.set(name, value)
  try {
    const tokens = await client.authorizationCodeGrant(config, url, {
      expectedState: flow.state,
      expectedNonce: flow.nonce,
      pkceCodeVerifier: flow.verifier,
      idTokenExpected: true,
    })
    const idToken = tokens.claims()
    if (idToken === undefined) throw new TunnelError('SIGN_ON', 'There is no ID token.')
    const further = provider.settings.asksUserInfo
      ? await client.fetchUserInfo(config, tokens.access_token, idToken.sub)
      : {}
    const claims: Claims = { ...further, ...idToken }
    return {
      subject: idToken.sub,
      sid: typeof idToken.sid === 'string' ? idToken.sid : '',
      claims,
      authenticatedAt: authenticatedAt(sso, flow, idToken),
      // Of the ID token, which is signed.
      methods: [...claimTexts(idToken, 'amr'), ...claimTexts(idToken, 'acr')],
    }
  } catch (cause) {
    throw signOnFault(cause)
  }
}

/**
 * When the person was last asked. A provider that does not say so counts as long ago. Where it was told to ask it has to say
 * (OpenID Connect Core section 3.1.2.1, `max_age`): what told it went through the browser, which may have left it out.
 * @throws {TunnelError} SIGN_ON where it was told to ask, and does not say that it did
 */
function authenticatedAt({ effects }: Sso, { isFresh, begunAt }: Flow, { auth_time }: IDToken): number {
  const now = effects.date()
  const at = Math.min((auth_time ?? 0) * 1_000, now)
  if (isFresh && at < begunAt - CLOCK_TOLERANCE_S * 1_000) {
    throw new TunnelError('SIGN_ON', 'The provider did not ask the person again.')
  }
  return at
}

/** Where the browser goes so that the provider ends its session, too; undefined where it has no such place. */
export async function oidcLogoutUrl(sso: Sso, provider: OidcProvider): Promise<string | undefined> {
  const client = await import('openid-client')
  const { config } = await oidcClientOf(sso, provider)
  if (config.serverMetadata().end_session_endpoint === undefined) return undefined
  // client_id goes along by itself; ID tokens are not kept, so the provider may ask the person first.
  const post_logout_redirect_uri = `${relayOrigin(sso)}/`
  return client.buildEndSessionUrl(config, { post_logout_redirect_uri }).href
}

/** What failed at the provider keeps its code; all else is an answer that does not hold. */
function signOnFault(cause: unknown): TunnelError {
  if (isTunnelError(cause)) return cause
  const fault = providerFault(cause)
  return fault.cause === cause ? new TunnelError('SIGN_ON', `${reasonOf(cause)}.`, { cause }) : fault
}

function random({ effects }: Sso): string {
  return effects.randomBytes(32).toString('base64url')
}
