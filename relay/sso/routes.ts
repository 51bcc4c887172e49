import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import { openRoute } from '../api/open-route.ts'
import { actOf } from '../people/people.ts'
import { sessionCookie } from '../people/routes.ts'
import { endSession } from '../people/sessions.ts'
import type { FederatedSession } from '../store/sso-store.ts'
import { beginFlow, takeFlow } from './flow.ts'
import { checkLogoutToken } from './logout-token.ts'
import { beginOidc, endOidc, oidcLogoutUrl } from './oidc.ts'
import type { OidcProvider } from './oidc-client.ts'
import type { Provider } from './provider.ts'
import { audited, loggedIn, PROVIDER_PATH, providerFields } from './provider-route.ts'
import { beginSaml, samlLogoutUrl } from './saml.ts'
import { endFederated, signIn } from './sign-in.ts'
import { requireProvider, type Sso } from './sso.ts'

/** A parameter of a redirect that a provider makes a browser send. All of them together fit the head of a request. */
const parameter = (max: number) => v.optional(v.pipe(v.string(), v.maxLength(max)))

/** A path of this relay: nothing that leads to another host. */
const returnPath = v.pipe(v.string(), v.maxLength(512), v.regex(/^\/(?![/\\])[\w.~!$&()*+,;=:@%/?-]*$/))

const nothing = v.object({})

export const startRoute = openRoute({
  name: 'sso.start',
  summary: 'send a browser to an identity provider to log in',
  http: { method: 'GET', path: `${PROVIDER_PATH}/start` },
  authentication: 'nothing yet',
  isCrossSite: true,
  input: v.strictObject({
    ...providerFields,
    returnTo: v.optional(returnPath, '/'),
    /** `true`: the person is asked anew, for what needs a recent login. */
    fresh: v.optional(v.boolean(), false),
  }),
  output: nothing,
  answer: ({ relay: { sso }, input: { returnTo, fresh, ...place }, origin }) =>
    audited(sso, place, origin, async (provider) => {
      const wish = { returnTo, isFresh: fresh }
      const { settings } = provider
      const isOidc = settings.kind === 'oidc'
      const { url, flow } = isOidc
        ? await beginOidc(sso, { ...provider, settings }, wish)
        : await beginSaml(sso, { ...provider, settings }, wish)
      return { status: 303, location: url, cookies: [beginFlow(sso, flow, isOidc ? 'Lax' : 'None')] }
    }),
})

export const callbackRoute = openRoute({
  name: 'sso.callback',
  summary: 'end a login by OpenID Connect; the provider sends the browser here',
  http: { method: 'GET', path: `${PROVIDER_PATH}/callback` },
  authentication: 'code of the identity provider, and the cookie of the sign-on',
  isCrossSite: true,
  // Providers send more than this; what is not known is left out.
  input: v.object({
    ...providerFields,
    code: parameter(4_096),
    state: parameter(512),
    iss: parameter(2_048),
    error: parameter(256),
    error_description: parameter(2_048),
  }),
  output: nothing,
  answer: ({ relay: { sso }, input: { tenant, provider: named, ...answer }, origin, cookies }) =>
    audited(sso, { tenant, provider: named }, origin, async (found) => {
      const provider = requireOidc(found)
      const flow = takeFlow(sso, provider, cookies)
      const vouched = await endOidc(sso, provider, flow, answer)
      return loggedIn(await signIn(sso, provider, vouched, origin), flow.returnTo, 'Lax')
    }),
})

export const backChannelLogoutRoute = openRoute({
  name: 'sso.backchannel-logout',
  summary: 'end the sessions that an OpenID provider names',
  http: { method: 'POST', path: `${PROVIDER_PATH}/backchannel-logout` },
  authentication: 'logout token, signed by the identity provider',
  body: 'form',
  isCrossSite: true,
  input: v.object({ ...providerFields, logout_token: v.pipe(v.string(), v.maxLength(16_384)) }),
  output: nothing,
  answer: ({ relay: { sso }, input: { logout_token, ...place }, origin }) =>
    audited(sso, place, origin, async (provider) => {
      const named = await checkLogoutToken(sso, requireOidc(provider), logout_token)
      await endFederated(sso, provider, named, origin)
      return { body: {} }
    }),
})

export const frontChannelLogoutRoute = openRoute({
  name: 'sso.frontchannel-logout',
  summary: 'end the session that an OpenID provider names, within a page of its own',
  http: { method: 'GET', path: `${PROVIDER_PATH}/frontchannel-logout` },
  authentication: 'name of the session at the identity provider, which only the two know',
  isCrossSite: true,
  input: v.object({
    ...providerFields,
    iss: v.pipe(v.string(), v.maxLength(2_048)),
    sid: v.pipe(v.string(), v.minLength(1), v.maxLength(255)),
  }),
  output: nothing,
  answer: ({ relay: { sso }, input: { iss, sid, ...place }, origin }) =>
    audited(sso, place, origin, async (found) => {
      const { settings, ...provider } = requireOidc(found)
      if (iss !== settings.issuer) throw new TunnelError('SIGN_ON', 'Another provider is named as issuer.')
      await endFederated(sso, provider, { sid }, origin)
      return { body: {} }
    }),
})

export const singleLogoutRoute = openRoute({
  name: 'sso.logout',
  summary: 'end the session here, and say where to end it at its identity provider',
  http: { method: 'POST', path: '/sso/logout' },
  authentication: 'session',
  input: v.strictObject({}),
  /** `next`: where the page sends its browser. Left out where the provider has no such place, or does not answer. */
  output: v.object({ next: v.optional(v.string()) }),
  async answer({ relay: { sso }, origin, caller }) {
    if (caller?.sessionId === undefined) throw new TunnelError('LOGIN')
    const { tenantId, id, sessionId } = caller
    const { people } = sso.relay()
    const federated = await sso.store.findFederatedSession(tenantId, sessionId)
    // Ours ends in any case; what the provider does then is the provider's.
    await endSession(people, { tenantId, sessionId }, actOf(people, id, origin))
    const next =
      federated === undefined
        ? undefined
        : await logoutUrl(sso, { ...federated, tenantId }).catch(() => undefined)
    return { body: next === undefined ? {} : { next }, cookies: [sessionCookie(new Secret(''), 0)] }
  },
})

async function logoutUrl(
  sso: Sso,
  { tenantId, provider: named, subject, sid }: FederatedSession & { readonly tenantId: string },
): Promise<string | undefined> {
  const { settings, ...provider } = await requireProvider(sso, tenantId, named)
  return settings.kind === 'oidc'
    ? oidcLogoutUrl(sso, { ...provider, settings })
    : samlLogoutUrl(sso, { ...provider, settings }, { subject, sid })
}

/** @throws {TunnelError} NOT_FOUND */
function requireOidc(provider: Provider): OidcProvider {
  const { settings } = provider
  if (settings.kind === 'oidc') return { ...provider, settings }
  throw new TunnelError('NOT_FOUND', '', { next: '' })
}
