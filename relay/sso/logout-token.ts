import { errors, jwtVerify } from 'jose'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { CLOCK_TOLERANCE_S, type OidcProvider, oidcClientOf, providerFault } from './oidc-client.ts'
import type { Sso } from './sso.ts'

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/** A logout token is made when it is sent; an old one was caught on the way. */
const MAX_AGE_S = 120

const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

const text = v.pipe(v.string(), v.minLength(1), v.maxLength(255))

/** OpenID Connect Back-Channel Logout 1.0 section 2.4; what else a token holds is of no interest. */
const logoutClaims = v.pipe(
  v.object({
    iat: v.number(),
    jti: text,
    sub: v.optional(text),
    sid: v.optional(text),
    events: v.object({ [EVENT]: v.record(v.string(), v.unknown()) }),
    // An ID token has one, so that neither passes for the other.
    nonce: v.optional(v.never()),
  }),
  v.check(({ sub, sid }) => sub !== undefined || sid !== undefined, 'names a subject or a session'),
)

/**
 * Whom a logout token names. Each is taken once.
 * @throws {TunnelError} SIGN_ON where it does not hold, IDENTITY_PROVIDER
 */
export async function checkLogoutToken(
  sso: Sso,
  provider: OidcProvider,
  token: string,
): Promise<{ readonly subject: string | undefined; readonly sid: string | undefined }> {
  const { keys, config } = await oidcClientOf(sso, provider)
  const { effects, seen } = sso
  const verified = await jwtVerify(token, keys, {
    issuer: config.serverMetadata().issuer,
    audience: provider.settings.clientId,
    algorithms: ALGORITHMS,
    currentDate: new Date(effects.date()),
    clockTolerance: CLOCK_TOLERANCE_S,
    maxTokenAge: MAX_AGE_S,
  }).catch((cause: unknown) => {
    throw cause instanceof errors.JOSEError && !(cause instanceof errors.JWKSTimeout)
      ? new TunnelError('SIGN_ON', `The logout token does not hold: ${cause.code}.`, { cause })
      : providerFault(cause)
  })
  const { typ } = verified.protectedHeader
  const claims = v.safeParse(logoutClaims, verified.payload)
  if (!claims.success || (typ !== undefined && !/^(?:application\/)?(?:logout\+jwt|jwt)$/i.test(typ))) {
    throw new TunnelError('SIGN_ON', 'This is no logout token.')
  }
  const { jti, sub, sid } = claims.output
  const key = `${provider.tenantId}/${provider.name}/${jti}`
  const now = effects.now()
  if (seen.get(key, now) !== undefined) throw new TunnelError('SIGN_ON', 'The logout token came before.')
  seen.set(key, true, now + (MAX_AGE_S + 2 * CLOCK_TOLERANCE_S) * 1_000, now)
  return { subject: sub, sid }
}
