import { createHash, generateKeyPairSync, type X509Certificate } from 'node:crypto'
import * as v from 'valibot'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { isName } from '../../shared/identity/names.ts'
import { Secret } from '../../shared/secret.ts'

/** How long a token is good, in seconds. */
export const TOKEN_LIFE_S = 900

const TYPE = 'at+jwt'
const ALGORITHM = 'EdDSA'

/** What each kind of client may use its tokens for: those of a machine ask the API, those of a connector open its sessions. */
const AUDIENCES = { machine: 'sallyport-api', connector: 'sallyport-tunnel' } as const

/** Whom a token is for. */
export interface TokenSubject {
  readonly kind: keyof typeof AUDIENCES
  readonly tenantId: string
  readonly id: string
}

/** What a token says that holds. */
export interface VerifiedToken extends TokenSubject {
  /** Its end, in ms since 1970. */
  readonly expiresAt: number
}

const claims = v.object({
  sub: v.pipe(v.string(), v.maxLength(64)),
  tenant: v.pipe(v.string(), v.check(isName)),
  iat: v.number(),
  exp: v.number(),
  cnf: v.optional(v.object({ 'x5t#S256': v.string() })),
})

/**
 * The tokens of machines: JWT (RFC 9068), signed with Ed25519 by a key that lives as long as the relay's process. After a
 * restart machines ask for new ones, as they do every 15 minutes; so there is no key on disk, and none to be rotated.
 */
export class MachineTokens {
  readonly #keys = generateKeyPairSync('ed25519')
  readonly #effects: Pick<Effects, 'date' | 'randomBytes'>
  readonly #issuer: () => string

  constructor(effects: Pick<Effects, 'date' | 'randomBytes'>, issuer: () => string) {
    this.#effects = effects
    this.#issuer = issuer
  }

  /**
   * A token, bound to the certificate that the other end of the request showed, whoever issued that: TLS has seen that its
   * key is there (RFC 8705 sections 3 and 4).
   */
  async issue(subject: TokenSubject, certificate: X509Certificate | undefined): Promise<Secret<string>> {
    const { SignJWT } = await import('jose')
    const now = Math.floor(this.#effects.date() / 1_000)
    const bound = certificate === undefined ? {} : { cnf: { 'x5t#S256': thumbprint(certificate) } }
    const text = await new SignJWT({ tenant: subject.tenantId, client_id: subject.id, ...bound })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE })
      .setIssuer(this.#issuer())
      .setAudience(AUDIENCES[subject.kind])
      .setSubject(subject.id)
      .setJti(this.#effects.randomBytes(16).toString('hex'))
      .setIssuedAt(now)
      .setExpirationTime(now + TOKEN_LIFE_S)
      .sign(this.#keys.privateKey)
    return new Secret(text)
  }

  /**
   * Whom a token is for. One algorithm and one key: what the header says of either decides nothing.
   * @param kind of the client that may come here; a connector's token must be bound
   * @param certificate that the other end shows now
   * @throws {TunnelError} LOGIN, in the same words for everything that is wrong
   */
  async verify(
    kind: TokenSubject['kind'],
    text: string,
    certificate: X509Certificate | undefined,
  ): Promise<VerifiedToken> {
    const { jwtVerify } = await import('jose')
    const verified = await jwtVerify(text, this.#keys.publicKey, {
      algorithms: [ALGORITHM],
      typ: TYPE,
      issuer: this.#issuer(),
      audience: AUDIENCES[kind],
      maxTokenAge: TOKEN_LIFE_S,
      currentDate: new Date(this.#effects.date()),
      requiredClaims: ['sub', 'jti', 'iat', 'exp'],
    }).catch((cause: unknown) => {
      throw refused(cause)
    })
    const parsed = v.safeParse(claims, verified.payload)
    if (!parsed.success) throw refused()
    const { sub, tenant, iat, exp, cnf } = parsed.output
    if (exp - iat > TOKEN_LIFE_S) throw refused()
    const shown = certificate === undefined ? undefined : thumbprint(certificate)
    if (cnf === undefined ? kind === 'connector' : cnf['x5t#S256'] !== shown) throw refused()
    return { kind, tenantId: tenant, id: sub, expiresAt: exp * 1_000 }
  }
}

/** True for what has the form of a JWT, and no other token has it. */
export function isJwt(text: string): boolean {
  return text.split('.').length === 3
}

function thumbprint(certificate: X509Certificate): string {
  return createHash('sha256').update(certificate.raw).digest('base64url')
}

function refused(cause?: unknown): TunnelError {
  return new TunnelError('LOGIN', 'The token does not hold, or is over.', { cause })
}
