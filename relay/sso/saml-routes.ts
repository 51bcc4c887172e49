import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import type { RequestOrigin } from '../api/caller.ts'
import { type OpenAnswer, openRoute } from '../api/open-route.ts'
import { addressKey } from '../gateway/admission.ts'
import { hasFlow, takeFlow } from './flow.ts'
import { goOnPage } from './pages.ts'
import type { Provider } from './provider.ts'
import { audited, loggedIn, PROVIDER_PATH, providerFields } from './provider-route.ts'
import { checkLogoutRequest, endSaml, logoutAnswerUrl, type SamlProvider, samlMetadata } from './saml.ts'
import { endFederated, signIn } from './sign-in.ts'
import type { Sso } from './sso.ts'

/** Room for the largest message as base64, and a little more, so that the limit itself says what is wrong. */
const message = v.pipe(v.string(), v.maxLength(512 * 1024))
const relayState = v.optional(v.pipe(v.string(), v.maxLength(2_048)), '')

const nothing = v.object({})

export const metadataRoute = openRoute({
  name: 'sso.metadata',
  summary: 'describe this relay to a SAML identity provider',
  http: { method: 'GET', path: `${PROVIDER_PATH}/metadata` },
  authentication: 'nothing: it is public',
  isCrossSite: true,
  input: v.strictObject(providerFields),
  output: nothing,
  answer: ({ relay: { sso }, input, origin }) =>
    audited(sso, input, origin, async (provider) => ({
      xml: await samlMetadata(sso, requireSaml(provider)),
    })),
})

export const assertionRoute = openRoute({
  name: 'sso.acs',
  summary: "end a login by SAML; the provider's page posts its answer here",
  http: { method: 'POST', path: `${PROVIDER_PATH}/acs` },
  authentication: 'assertion, signed by the identity provider, and the cookie of the sign-on',
  body: 'form',
  isCrossSite: true,
  input: v.object({ ...providerFields, SAMLResponse: message, RelayState: relayState }),
  output: nothing,
  answer: ({ relay: { sso }, input: { SAMLResponse, RelayState: _, ...place }, origin, cookies }) =>
    audited(sso, place, origin, async (found) => {
      const provider = requireSaml(found)
      passGate(sso, origin)
      const isAwaited = hasFlow(sso, provider, cookies) || !provider.settings.allowsUnsolicited
      const flow = isAwaited ? takeFlow(sso, provider, cookies) : undefined
      const vouched = await endSaml(sso, provider, flow, SAMLResponse)
      return loggedIn(await signIn(sso, provider, vouched, origin), flow?.returnTo ?? '/', 'None')
    }),
})

export const samlLogoutRoute = openRoute({
  name: 'sso.saml-logout',
  summary:
    'end the sessions that a SAML identity provider names, or take its answer to a logout that began here',
  http: { method: 'POST', path: `${PROVIDER_PATH}/logout` },
  authentication: 'logout request, signed by the identity provider',
  body: 'form',
  isCrossSite: true,
  input: v.object({
    ...providerFields,
    SAMLRequest: v.optional(message),
    SAMLResponse: v.optional(message),
    RelayState: relayState,
  }),
  output: nothing,
  answer: ({ relay: { sso }, input: { SAMLRequest, SAMLResponse, RelayState, ...place }, origin }) =>
    audited(sso, place, origin, async (found): Promise<OpenAnswer<object>> => {
      const provider = requireSaml(found)
      // Ours ended before the browser was sent away, so the answer changes nothing and is not looked at.
      if (SAMLRequest === undefined && SAMLResponse !== undefined) return { html: { text: goOnPage('/') } }
      passGate(sso, origin)
      const { id, ...named } = await checkLogoutRequest(sso, provider, SAMLRequest ?? '')
      await endFederated(sso, provider, named, origin)
      const location = await logoutAnswerUrl(sso, provider, id, RelayState)
      return location === undefined ? { body: {} } : { status: 303, location }
    }),
})

/** To look at signed XML takes the only thread for it a while, so it is asked for as seldom as a password. @throws {TunnelError} ENHANCE_CALM */
function passGate(sso: Sso, { source }: RequestOrigin): void {
  sso.relay().people.gate.passAddress(addressKey(source), sso.effects.now())
}

/** @throws {TunnelError} NOT_FOUND */
export function requireSaml(provider: Provider): SamlProvider {
  const { settings } = provider
  if (settings.kind === 'saml') return { ...provider, settings }
  throw new TunnelError('NOT_FOUND', '', { next: '' })
}
