import type { X509Certificate } from 'node:crypto'
import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import type { Caller } from '../operations/operation.ts'

/** The one cookie of a session; `__Host-` ties it to this host, to HTTPS and to the path `/`. */
export const SESSION_COOKIE = '__Host-sallyport'

/** Where a request comes from. */
export interface RequestOrigin {
  /** Address of whoever connected, IPv4 in its plain form; never one that a header names. */
  readonly source: string
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** The client certificate, where TLS says that this relay's CA has issued it. */
  readonly certificate: X509Certificate | undefined
  /** The client certificate, whoever issued it: TLS says no more of it than that the other end has its key. */
  readonly shown: X509Certificate | undefined
}

/** What a request shows of who sends it: never both a cookie and a token, and never two of one. */
export interface Presented {
  /** `cookie`: the value of {@link SESSION_COOKIE}. `bearer`, `basic`: what follows that word in `Authorization`. */
  readonly kind: 'cookie' | 'bearer' | 'basic'
  /** 1 to 4,096 characters; nothing else was checked. */
  readonly secret: Secret<string>
  readonly origin: RequestOrigin
}

/** Who sends a request of the API: a person or a machine, never the operator. */
export type ApiCaller = Exclude<Caller, { readonly kind: 'operator' }>

/**
 * Knows one kind of session or token. @returns undefined for what is not of its kind, and the next one is asked
 * @throws {TunnelError} LOGIN where it is of its kind and does not hold, or whatever else refuses it
 */
export type Authenticator = (presented: Presented) => Promise<ApiCaller | undefined>

/**
 * Who has sent what is presented, as the first that knows it says.
 * @throws {TunnelError} LOGIN where none knows it, and what the one that knows it refuses with
 */
export async function callerOf(
  authenticators: readonly Authenticator[],
  presented: Presented,
): Promise<ApiCaller> {
  for (const authenticate of authenticators) {
    const caller = await authenticate(presented)
    if (caller !== undefined) return caller
  }
  throw new TunnelError('LOGIN')
}
