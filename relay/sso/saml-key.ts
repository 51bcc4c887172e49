import * as v from 'valibot'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import { providerSecret } from './provider.ts'
import type { Sso } from './sso.ts'

/** Providers keep the certificate that they once read; only the key in it counts. */
const LIFETIME_MS = 10 * 365 * 86_400_000

/** What the relay signs its requests with, for one provider. */
export interface SamlKey {
  readonly key: Secret<string>
  /** PEM. */
  readonly certificate: string
}

const kept = v.strictObject({ key: v.string(), certificate: v.string() })

/** A new RSA key, since many providers take no other, as it is kept among the secrets of the tenant. */
export async function makeSamlKey(effects: Pick<Effects, 'date'>): Promise<Secret<Buffer>> {
  const { generate } = await import('selfsigned')
  const now = effects.date()
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'Sallyport single sign-on' }], {
    keyType: 'rsa',
    keySize: 3072,
    algorithm: 'sha256',
    notBeforeDate: new Date(now - 3_600_000),
    notAfterDate: new Date(now + LIFETIME_MS),
  })
  return new Secret(Buffer.from(JSON.stringify({ key, certificate: cert })))
}

/** @throws {TunnelError} IDENTITY_PROVIDER where it is missing */
export async function samlKeyOf(
  { store }: Pick<Sso, 'store'>,
  tenantId: string,
  name: string,
): Promise<SamlKey> {
  const secret = await store.getSecret(tenantId, providerSecret(name))
  const parsed = secret && v.safeParse(kept, JSON.parse(secret.reveal().toString('utf8')))
  if (parsed?.success !== true)
    throw new TunnelError('IDENTITY_PROVIDER', 'The key for its requests is missing.')
  return { key: new Secret(parsed.output.key), certificate: parsed.output.certificate }
}
