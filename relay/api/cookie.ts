import type { Secret } from '../../shared/secret.ts'

/** Longest life that browsers keep to, in seconds. */
const MAX_AGE_LIMIT_S = 400 * 86_400

export interface CookieOptions {
  /** Begins with `__Host-sallyport`. */
  readonly name: `__Host-sallyport${string}`
  /** Characters of base64url only, 1 to 4,096. */
  readonly value: Secret<string>
  /** In seconds, rounded down; without it the cookie ends with the browser. 0 removes it. */
  readonly maxAgeS?: number
  /**
   * `Strict` where it is left out. `None` is for the state of a single sign-on only, which another site answers by a
   * POST: never for what is a session.
   */
  readonly sameSite?: 'Strict' | 'Lax' | 'None'
}

/**
 * The value of a `Set-Cookie` header. Scripts cannot read the cookie, plain HTTP never carries it, and by its prefix no other
 * host of the domain can set or shadow it (RFC 6265bis section 4.1.3).
 * @throws {RangeError} where name or value could end the cookie
 */
export function cookie({ name, value, maxAgeS, sameSite = 'Strict' }: CookieOptions): string {
  const text = value.reveal()
  if (!/^__Host-sallyport[a-z-]*$/.test(name) || !/^[\w-]{0,4096}$/.test(text)) {
    throw new RangeError('A cookie holds letters, digits, hyphens and underscores only.')
  }
  const age =
    maxAgeS === undefined ? '' : `; Max-Age=${Math.min(Math.max(0, Math.floor(maxAgeS)), MAX_AGE_LIMIT_S)}`
  return `${name}=${text}${age}; Path=/; Secure; HttpOnly; SameSite=${sameSite}`
}
