import type { CacheProvider, SAML } from '@node-saml/node-saml'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import type { Flow } from './flow.ts'
import type { Provider, SamlSettings } from './provider.ts'
import { samlKeyOf } from './saml-key.ts'
import type { SamlJob, SamlSaid, SamlSetup } from './saml-message.ts'
import type { Vouched } from './sign-in.ts'
import { routeUrl, SSO_LIMITS, type Sso } from './sso.ts'

// The only file beside saml-message.ts that knows the library. What comes out of it is checked again.

/** How far the provider's clock may be off, in ms. */
const CLOCK_SKEW_MS = 60_000

/** An assertion is older than that at most, in ms, whatever it says itself. */
const ASSERTION_AGE_MS = 10 * 60_000

const TRANSIENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient'
const BEARER = 'urn:oasis:names:tc:SAML:2.0:cm:bearer'

/** Stands where the library wants to know of whom a request was, and uses its id only. */
const NOBODY = { issuer: '', nameID: '', nameIDFormat: '' }

export type SamlProvider = Provider<SamlSettings>

/** Where the browser goes to log in, and what the end has to fit to. */
export async function beginSaml(
  sso: Sso,
  provider: SamlProvider,
  wish: Pick<Flow, 'returnTo' | 'isFresh'>,
): Promise<{ readonly url: string; readonly flow: Flow }> {
  const requests: string[] = []
  const saml = await samlOf(sso, provider, wish.isFresh, (id) => requests.push(id))
  const url = await saml.getAuthorizeUrlAsync('', undefined, {})
  const flow = {
    ...{ tenantId: provider.tenantId, provider: provider.name, revision: provider.revision },
    ...wish,
    begunAt: sso.effects.date(),
    state: requests[0] ?? '',
    nonce: '',
    verifier: '',
  }
  return { url, flow }
}

/**
 * Whom a response vouches for. The assertion has to be signed by the provider and to name the provider as issuer, this
 * relay as audience and recipient, the request of this browser, and times that are now. Each is taken once.
 * @param flow undefined for a response that nobody asked for
 * @throws {TunnelError} SIGN_ON
 */
export async function endSaml(
  sso: Sso,
  provider: SamlProvider,
  flow: Flow | undefined,
  response: string,
): Promise<Vouched> {
  if (flow === undefined && !provider.settings.allowsUnsolicited) {
    throw new TunnelError('SIGN_ON', 'This browser has begun none, or too long ago.')
  }
  const awaited = flow && { id: flow.state, begunAt: flow.begunAt }
  const said = await read(sso, provider, { kind: 'response', message: response, ...(awaited && { awaited }) })
  if (said === undefined) throw new TunnelError('SIGN_ON', 'The response holds no assertion.')
  const assertion = checkAssertion(sso, provider, flow, said)
  takeOnce(sso, provider, assertion.id)
  const { sessionIndex = '', attributes } = said
  const claims = typeof attributes === 'object' && attributes !== null ? attributes : {}
  return {
    subject: assertion.nameId,
    sid: sessionIndex,
    claims: { ...claims, NameID: assertion.nameId },
    authenticatedAt: assertion.authenticatedAt,
    methods: assertion.methods,
  }
}

/** Whom a logout request names; it has to be signed. @throws {TunnelError} SIGN_ON, OVERLOADED */
export async function checkLogoutRequest(
  sso: Sso,
  provider: SamlProvider,
  request: string,
): Promise<{ readonly id: string; readonly subject: string; readonly sid: string | undefined }> {
  const said = await read(sso, provider, { kind: 'logout-request', message: request })
  if (said?.id === undefined || typeof said.nameId !== 'string')
    throw new TunnelError('SIGN_ON', 'This is no logout request.')
  takeOnce(sso, provider, said.id)
  return { id: said.id, subject: said.nameId, sid: said.sessionIndex }
}

/** Where the browser takes the answer to the logout request `id`; undefined where the provider has no such place. */
export async function logoutAnswerUrl(
  sso: Sso,
  provider: SamlProvider,
  id: string,
  relayState: string,
): Promise<string | undefined> {
  if (provider.settings.logoutUrl === undefined) return undefined
  const request = { ...NOBODY, ID: id }
  return (await samlOf(sso, provider)).getLogoutResponseUrlAsync(request, relayState, {}, true)
}

/** Where the browser goes so that the provider ends its session, too; undefined where it has no such place. */
export async function samlLogoutUrl(
  sso: Sso,
  provider: SamlProvider,
  { subject, sid }: { readonly subject: string; readonly sid: string },
): Promise<string | undefined> {
  const { logoutUrl, nameIdFormat, entityId } = provider.settings
  if (logoutUrl === undefined) return undefined
  const profile = {
    issuer: entityId,
    nameID: subject,
    nameIDFormat: nameIdFormat,
    ...(sid === '' ? {} : { sessionIndex: sid }),
  }
  return (await samlOf(sso, provider)).getLogoutUrlAsync(profile, '', {})
}

/** What the provider reads to know this relay, as XML. */
export async function samlMetadata(sso: Sso, provider: SamlProvider): Promise<string> {
  const { certificate } = await samlKeyOf(sso, provider.tenantId, provider.name)
  const metadata = (await samlOf(sso, provider)).generateServiceProviderMetadata(certificate, certificate)
  // The library names what it can do itself; CBC is refused here.
  return metadata.replaceAll(/\s*<EncryptionMethod Algorithm="[^"]*-cbc"\/>/g, '')
}

/** @returns what the message says that is signed. @throws {TunnelError} SIGN_ON with what the library says; OVERLOADED */
async function read(
  sso: Sso,
  provider: SamlProvider,
  job: Omit<SamlJob, 'setup'>,
): Promise<SamlSaid | undefined> {
  const answer = await sso.samlThread.read({ ...job, setup: await setupOf(sso, provider) })
  if (answer.kind === 'refused') throw new TunnelError('SIGN_ON', answer.why)
  return answer.said
}

/** The library for what goes to a provider. @param onRequest is told the id of each request */
async function samlOf(
  sso: Sso,
  provider: SamlProvider,
  isFresh = false,
  onRequest: (id: string) => void = () => undefined,
): Promise<SAML> {
  const { SAML: Library, ValidateInResponseTo } = await import('@node-saml/node-saml')
  const cacheProvider: CacheProvider = {
    saveAsync: async (id) => {
      onRequest(id)
      return null
    },
    getAsync: async () => null,
    removeAsync: async () => null,
  }
  return new Library({
    ...(await setupOf(sso, provider)),
    ...(provider.settings.signsRequests ? { privateKey: await keyOf(sso, provider) } : {}),
    forceAuthn: isFresh,
    // Only then does it say what it asked for.
    validateInResponseTo: ValidateInResponseTo.always,
    cacheProvider,
    generateUniqueId: () => `_${sso.effects.randomBytes(20).toString('hex')}`,
  })
}

async function keyOf(sso: Sso, { tenantId, name }: SamlProvider): Promise<string> {
  return (await samlKeyOf(sso, tenantId, name)).key.reveal()
}

async function setupOf(sso: Sso, provider: SamlProvider): Promise<SamlSetup> {
  const { entityId, signOnUrl, logoutUrl, certificates, nameIdFormat, takesEncrypted } = provider.settings
  const own = routeUrl(sso, provider, 'metadata')
  return {
    idpCert: certificates,
    idpIssuer: entityId,
    entryPoint: signOnUrl,
    logoutUrl: logoutUrl ?? signOnUrl,
    issuer: own,
    audience: own,
    callbackUrl: routeUrl(sso, provider, 'acs'),
    logoutCallbackUrl: routeUrl(sso, provider, 'logout'),
    ...(takesEncrypted ? { decryptionPvk: await keyOf(sso, provider) } : {}),
    signatureAlgorithm: 'sha256',
    digestAlgorithm: 'sha256',
    wantAssertionsSigned: true,
    wantAuthnResponseSigned: false,
    identifierFormat: nameIdFormat,
    disableRequestedAuthnContext: true,
    acceptedClockSkewMs: CLOCK_SKEW_MS,
    maxAssertionAgeMs: ASSERTION_AGE_MS,
    requestIdExpirationPeriodMs: SSO_LIMITS.flowMs,
  }
}

const attributes = <Entries extends v.ObjectEntries>(entries: Entries) =>
  v.looseObject({ $: v.looseObject(entries) })

const textElements = v.array(v.looseObject({ _: v.string() }))

/** As the library reads the XML that is signed. */
const signedAssertion = v.looseObject({
  Assertion: v.looseObject({
    $: v.looseObject({ ID: v.string() }),
    Subject: v.tuple([
      v.looseObject({
        SubjectConfirmation: v.array(
          v.looseObject({
            $: v.looseObject({ Method: v.string() }),
            SubjectConfirmationData: v.optional(
              v.array(
                attributes({
                  Recipient: v.optional(v.string()),
                  InResponseTo: v.optional(v.string()),
                  NotOnOrAfter: v.optional(v.string()),
                }),
              ),
            ),
          }),
        ),
      }),
    ]),
    AuthnStatement: v.tuple([
      v.looseObject({
        $: v.looseObject({ AuthnInstant: v.string() }),
        AuthnContext: v.optional(
          v.tuple([v.looseObject({ AuthnContextClassRef: v.optional(textElements) })]),
        ),
      }),
    ]),
  }),
})

/** What the library leaves to its users (SAML 2.0 profiles, section 4.1.4.3). */
function checkAssertion(
  sso: Sso,
  provider: SamlProvider,
  flow: Flow | undefined,
  { assertion, issuer, nameId, nameIdFormat }: SamlSaid,
): Pick<Vouched, 'authenticatedAt' | 'methods'> & { readonly id: string; readonly nameId: string } {
  const parsed = v.safeParse(signedAssertion, assertion)
  if (!parsed.success) throw new TunnelError('SIGN_ON', 'The assertion lacks what a login takes.')
  if (issuer !== provider.settings.entityId) throw new TunnelError('SIGN_ON', 'Another issuer is named.')
  if (typeof nameId !== 'string' || nameIdFormat === TRANSIENT) {
    throw new TunnelError('SIGN_ON', 'The person has no name that lasts (NameID).')
  }
  const { Subject, AuthnStatement, $ } = parsed.output.Assertion
  const recipient = routeUrl(sso, provider, 'acs')
  const now = sso.effects.date()
  const isConfirmed = Subject[0].SubjectConfirmation.some(
    ({ $: { Method }, SubjectConfirmationData }) =>
      Method === BEARER &&
      SubjectConfirmationData?.some(
        ({ $: { Recipient, InResponseTo, NotOnOrAfter = '' } }) =>
          Recipient === recipient &&
          InResponseTo === flow?.state &&
          now - CLOCK_SKEW_MS < Date.parse(NotOnOrAfter),
      ) === true,
  )
  if (!isConfirmed)
    throw new TunnelError('SIGN_ON', 'The assertion is for another recipient, request or time.')
  const at = Date.parse(AuthnStatement[0]?.$.AuthnInstant ?? '')
  const authenticatedAt = Math.min(Number.isNaN(at) ? 0 : at, now)
  if (flow?.isFresh === true && authenticatedAt < flow.begunAt - CLOCK_SKEW_MS) {
    throw new TunnelError('SIGN_ON', 'The provider did not ask the person again.')
  }
  const methods = AuthnStatement.flatMap(({ AuthnContext }) => AuthnContext?.[0]?.AuthnContextClassRef ?? [])
  return { id: $.ID, nameId, authenticatedAt, methods: methods.map(({ _ }) => _) }
}

/** @throws {TunnelError} SIGN_ON */
function takeOnce({ seen, effects }: Sso, { tenantId, name }: SamlProvider, id: string): void {
  const key = `${tenantId}/${name}/${id}`
  const now = effects.now()
  if (seen.get(key, now) !== undefined) throw new TunnelError('SIGN_ON', 'This message came before.')
  seen.set(key, true, now + ASSERTION_AGE_MS + 2 * CLOCK_SKEW_MS, now)
}
