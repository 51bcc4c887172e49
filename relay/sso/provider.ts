import * as v from 'valibot'
import { ROLES } from '../access/rights.ts'

/** Limits of identity providers: of one tenant, and of what each may hold. */
export const PROVIDER_LIMITS = {
  /** Providers of one tenant. */
  count: 50,
  rules: 200,
  certificates: 5,
  /** Characters of a URL. */
  url: 2_048,
  /** Characters of a certificate as PEM. */
  pem: 16_384,
  /** Bytes of a client secret. */
  secretBytes: 1_024,
} as const

/** A client secret: text, because it comes from a file or a form. */
export const clientSecret = v.pipe(v.string(), v.minLength(1), v.maxBytes(PROVIDER_LIMITS.secretBytes))

const short = v.pipe(v.string(), v.minLength(1), v.maxLength(256))

/** `https://…` without user, password and fragment. */
const httpsUrl = v.pipe(v.string(), v.maxLength(PROVIDER_LIMITS.url), v.check(isHttpsUrl, 'https_url'))

const certificate = v.pipe(
  v.string(),
  v.maxLength(PROVIDER_LIMITS.pem),
  v.regex(/^-----BEGIN CERTIFICATE-----\n[\w+/=\n]+\n-----END CERTIFICATE-----\n?$/),
)

const place = { environment: v.optional(short), site: v.optional(short) }

/** One line of the mapping from claims to roles; see relay/sso/map-roles.ts. */
const rule = v.pipe(
  v.strictObject({
    /** Name of a claim or attribute, or the way to it inside others as a JSON pointer (RFC 6901): `/realm_access/roles`. */
    claim: short,
    /** The text that the claim, or one of its list, has to be; `*` stands for any characters. */
    value: short,
    /** `none` ends the list: whoever matches gets nothing from here on. */
    role: v.picklist([...ROLES, 'none']),
    ...place,
  }),
  v.check(({ environment, site }) => site === undefined || environment !== undefined, 'site_has_environment'),
)

const common = {
  /** Who gets a person record: everybody whom a rule gives a role, or only people that were added before. */
  admits: v.optional(v.picklist(['mapped', 'invited']), 'mapped'),
  /**
   * With which of these the provider says that it asked for a second factor: values of `amr` or `acr` (OpenID Connect), names of
   * the authentication context (SAML). Where it says none of them, none was shown.
   */
  secondFactorBy: v.optional(v.pipe(v.array(short), v.maxLength(20)), []),
  rules: v.pipe(v.array(rule), v.minLength(1), v.maxLength(PROVIDER_LIMITS.rules)),
}

/** Settings of an OpenID provider. */
export const oidcSettings = v.strictObject({
  kind: v.literal('oidc'),
  ...common,
  /** As the provider writes it; its discovery document stands below it. */
  issuer: httpsUrl,
  clientId: short,
  /** How the relay shows its secret at the token endpoint; `none` for a public client. */
  clientAuthentication: v.optional(v.picklist(['basic', 'post', 'none']), 'basic'),
  scopes: v.optional(
    v.pipe(v.array(v.pipe(v.string(), v.regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/))), v.maxLength(20)),
    ['profile', 'email'],
  ),
  /** Which claim becomes the login name. */
  loginClaim: v.optional(short, 'email'),
  /** Asks the provider's userinfo endpoint for claims that the ID token leaves out. */
  asksUserInfo: v.optional(v.boolean(), false),
  /** CA of the provider's HTTPS, where it is none that everybody trusts. */
  ca: v.optional(certificate),
})

/** Settings of a SAML 2 identity provider. */
export const samlSettings = v.strictObject({
  kind: v.literal('saml'),
  ...common,
  /** Entity ID, as in the provider's metadata. */
  entityId: v.pipe(v.string(), v.minLength(1), v.maxLength(1_024)),
  /** Where browsers are sent to log in (HTTP-Redirect binding). */
  signOnUrl: httpsUrl,
  /** Where they are sent to log out; without it a logout ends here. */
  logoutUrl: v.optional(httpsUrl),
  /** With these the provider signs; several while it changes from one to the next. */
  certificates: v.pipe(v.array(certificate), v.minLength(1), v.maxLength(PROVIDER_LIMITS.certificates)),
  /** How the provider is to name people; it has to be the same name each time. */
  nameIdFormat: v.optional(short, 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'),
  signsRequests: v.optional(v.boolean(), true),
  /** Assertions may be encrypted; the relay's metadata then says with which key. */
  takesEncrypted: v.optional(v.boolean(), false),
  /** Takes answers that nobody asked for, as some portals send them. Anybody can then make a browser log in as himself. */
  allowsUnsolicited: v.optional(v.boolean(), false),
  /** Which attribute becomes the login name; `NameID` for the name of the subject. */
  loginClaim: v.optional(short, 'NameID'),
})

export const providerSettings = v.variant('kind', [oidcSettings, samlSettings])

export type OidcSettings = v.InferOutput<typeof oidcSettings>
export type SamlSettings = v.InferOutput<typeof samlSettings>
export type ProviderSettings = v.InferOutput<typeof providerSettings>
export type RoleRule = v.InferOutput<typeof rule>

/** An identity provider of a tenant. */
export interface Provider<Settings extends ProviderSettings = ProviderSettings> {
  readonly tenantId: string
  /** A name as in shared/identity/names.ts; stands in the URLs of the sign-on. */
  readonly name: string
  readonly settings: Settings
  /** One more with each change. */
  readonly revision: number
}

/** Under which name the secret of a provider is among the secrets of its tenant. */
export function providerSecret(name: string): string {
  return `sso/${name}`
}

function isHttpsUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, hash } = new URL(text)
  return protocol === 'https:' && username === '' && password === '' && hash === ''
}
