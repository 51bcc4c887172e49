import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import { cookie } from '../api/cookie.ts'
import type { Provider } from './provider.ts'
import { SSO_LIMITS, type Sso } from './sso.ts'

/** Ties a sign-on to the browser that began it. */
export const FLOW_COOKIE = '__Host-sallyport-sso'

const HANDLE_BYTES = 32

/** A sign-on that was begun, and what its end has to fit to. */
export interface Flow {
  readonly tenantId: string
  readonly provider: string
  readonly revision: number
  /** OpenID Connect: sent along and expected back. SAML: the id of the request. */
  readonly state: string
  /** OpenID Connect only; empty for SAML. */
  readonly nonce: string
  readonly verifier: string
  /** A path of this relay. */
  readonly returnTo: string
  /** The person was to be asked anew, whatever the provider remembers. */
  readonly isFresh: boolean
  /** In ms since 1970. */
  readonly begunAt: number
}

/**
 * Remembers a sign-on. @returns the `Set-Cookie` for its browser
 *
 * The cookie cannot be `SameSite=Strict`: the provider's page, which is another site, sends the browser back. `Lax` goes
 * along where that is a redirect (OpenID Connect). SAML answers by a POST from the provider's page, to which a browser
 * adds a cookie only where it says `None`. It opens nothing by itself: it is good for one sign-on, for ten minutes.
 */
export function beginFlow(sso: Sso, flow: Flow, sameSite: 'Lax' | 'None'): string {
  const handle = new Secret(sso.effects.randomBytes(HANDLE_BYTES).toString('base64url'))
  const now = sso.effects.now()
  sso.flows.set(handle.reveal(), flow, now + SSO_LIMITS.flowMs, now)
  return cookie({ name: FLOW_COOKIE, value: handle, maxAgeS: SSO_LIMITS.flowMs / 1_000, sameSite })
}

/**
 * The sign-on that this browser has begun with this provider; it is forgotten, whatever comes of it.
 * @throws {TunnelError} SIGN_ON where there is none
 */
export function takeFlow(
  sso: Sso,
  { tenantId, name, revision }: Provider,
  cookies: ReadonlyMap<string, Secret<string>>,
): Flow {
  const handle = cookies.get(FLOW_COOKIE)?.reveal() ?? ''
  const flow = sso.flows.take(handle, sso.effects.now())
  if (flow === undefined) throw new TunnelError('SIGN_ON', 'This browser has begun none, or too long ago.')
  if (flow.tenantId !== tenantId || flow.provider !== name) {
    throw new TunnelError('SIGN_ON', 'It was begun with another provider.')
  }
  if (flow.revision !== revision) throw new TunnelError('SIGN_ON', 'The provider was changed meanwhile.')
  return flow
}

/** True where this browser has begun a sign-on with this provider. */
export function hasFlow(
  { flows, effects }: Sso,
  { tenantId, name }: Provider,
  cookies: ReadonlyMap<string, Secret<string>>,
): boolean {
  const flow = flows.get(cookies.get(FLOW_COOKIE)?.reveal() ?? '', effects.now())
  return flow?.tenantId === tenantId && flow.provider === name
}

/** Takes the cookie away again. */
export function endFlowCookie(sameSite: 'Lax' | 'None'): string {
  return cookie({ name: FLOW_COOKIE, value: new Secret(''), maxAgeS: 0, sameSite })
}
