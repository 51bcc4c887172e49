import { createHash, type X509Certificate } from 'node:crypto'
import * as v from 'valibot'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { isName } from '../../shared/identity/names.ts'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'
import { Secret } from '../../shared/secret.ts'
import { formatListening } from '../../shared/tunnel/tcp-listener.ts'
import type { SigningKey, SigningKeys } from './signing-keys.ts'
import { TOKEN_LIFE_S } from './token-life.ts'

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
  iss: v.pipe(v.string(), v.maxLength(300)),
  iat: v.number(),
  exp: v.number(),
  cnf: v.optional(v.object({ 'x5t#S256': v.string() })),
})

/** The tokens of machines and connectors: JWT (RFC 9068), signed with Ed25519 by a key of their tenant. */
export class MachineTokens {
  readonly #keys: Pick<SigningKeys, 'current' | 'find'>
  readonly #effects: Pick<Effects, 'date' | 'randomBytes'>
  readonly #address: () => RelayAddress

  constructor(
    keys: Pick<SigningKeys, 'current' | 'find'>,
    effects: Pick<Effects, 'date' | 'randomBytes'>,
    address: () => RelayAddress,
  ) {
    this.#keys = keys
    this.#effects = effects
    this.#address = address
  }

  /** Who says so: `https://HOST:PORT`. */
  get issuer(): string {
    const { host, port } = this.#address()
    return `https://${formatListening(host, port)}`
  }

  /**
   * A token, bound to the certificate that the other end of the request showed, whoever issued that: TLS has seen that its
   * key is there (RFC 8705 sections 3 and 4).
   */
  async issue(subject: TokenSubject, certificate: X509Certificate | undefined): Promise<Secret<string>> {
    const { SignJWT } = await import('jose')
    const { kid, privateKey } = await this.#keys.current(subject.tenantId)
    const now = Math.floor(this.#effects.date() / 1_000)
    const bound = certificate === undefined ? {} : { cnf: { 'x5t#S256': thumbprint(certificate) } }
    const text = await new SignJWT({ tenant: subject.tenantId, client_id: subject.id, ...bound })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid })
      .setIssuer(this.issuer)
      .setAudience(AUDIENCES[subject.kind])
      .setSubject(subject.id)
      .setJti(this.#effects.randomBytes(16).toString('hex'))
      .setIssuedAt(now)
      .setExpirationTime(now + TOKEN_LIFE_S)
      .sign(privateKey)
    return new Secret(text)
  }

  /**
   * Whom a token is for. One algorithm, and a key of the tenant that the token names: of what the header says only the name
   * of that key is looked at.
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
    const { publicKey } = await this.#keyOf(text)
    const verified = await jwtVerify(text, publicKey, {
      algorithms: [ALGORITHM],
      typ: TYPE,
      audience: AUDIENCES[kind],
      maxTokenAge: TOKEN_LIFE_S,
      currentDate: new Date(this.#effects.date()),
      requiredClaims: ['sub', 'jti', 'iat', 'exp'],
    }).catch((cause: unknown) => {
      throw refused(cause)
    })
    const parsed = v.safeParse(claims, verified.payload)
    if (!parsed.success) throw refused()
    const { sub, tenant, iss, iat, exp, cnf } = parsed.output
    // Relays of one store may listen on several ports; a copy of the store under another name is another issuer.
    if (hostOf(iss) !== hostOf(this.issuer)) throw refused()
    if (exp - iat > TOKEN_LIFE_S) throw refused()
    const shown = certificate === undefined ? undefined : thumbprint(certificate)
    if (cnf === undefined ? kind === 'connector' : cnf['x5t#S256'] !== shown) throw refused()
    return { kind, tenantId: tenant, id: sub, expiresAt: exp * 1_000 }
  }

  /** Of the tenant that the token says it is for, which holds where the key does. @throws {TunnelError} LOGIN */
  async #keyOf(text: string): Promise<SigningKey> {
    const { decodeJwt, decodeProtectedHeader } = await import('jose')
    const { tenant, kid } = untrusted(() => ({
      tenant: decodeJwt(text).tenant,
      kid: decodeProtectedHeader(text).kid,
    }))
    const key = await this.#keys.find(tenant, kid)
    if (key === undefined) throw refused()
    return key
  }
}

function hostOf(issuer: string): string {
  return issuer.replace(/:[0-9]+$/, '')
}

const named = v.object({ tenant: v.pipe(v.string(), v.check(isName)), kid: v.string() })

/** @throws {TunnelError} LOGIN where it has no form */
function untrusted(read: () => object): v.InferOutput<typeof named> {
  try {
    return v.parse(named, read())
  } catch (cause) {
    throw refused(cause)
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
