import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto'
import { TunnelError } from '../errors.ts'
import { isP256 } from './keys.ts'

/** Longest certificate request in characters; one for P-256 has about 350. */
export const CSR_MAX_LENGTH = 4096

const PEM =
  /^-----BEGIN CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE REQUEST-----\s*$/
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** The library takes 60 ms to load, and only who enrols or renews needs it. */
async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  return import('@peculiar/x509')
}

/**
 * A PKCS#10 request (RFC 2986) for `key` as PEM. It names nobody: the relay decides who the key speaks for.
 *
 * @param key a private P-256 key; it must be exportable
 */
export async function createCsr(key: KeyObject): Promise<string> {
  const x509 = await loadX509()
  const keys = {
    privateKey: await importPkcs8(key),
    publicKey: await importSpki(createPublicKey(key)),
  }
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=sallyport',
    keys,
    signingAlgorithm: ALGORITHM,
  })
  return `${request.toString('pem')}\n`
}

/**
 * The public key of a request whose signature proves that the sender holds the private one. Every name and extension
 * that it asks for is ignored.
 *
 * @param pem at most {@link CSR_MAX_LENGTH} characters
 * @returns a key on P-256
 * @throws {TunnelError} IDENTITY where the text, the signature or the kind of key is not right
 */
export async function verifyCsr(pem: string): Promise<KeyObject> {
  const body = pem.length <= CSR_MAX_LENGTH ? PEM.exec(pem)?.[1] : undefined
  if (body === undefined) throw new TunnelError('IDENTITY', 'The certificate request is not a PEM text.')
  const x509 = await loadX509()
  let key: KeyObject
  let proved: boolean
  try {
    const request = new x509.Pkcs10CertificateRequest(Buffer.from(body, 'base64'))
    key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' })
    // The kind of key first: what may cost the time of another algorithm is not even tried.
    proved = isP256(key) && (await request.verify())
  } catch (err) {
    throw new TunnelError('IDENTITY', 'The certificate request cannot be read.', { cause: err })
  }
  if (!isP256(key)) throw new TunnelError('IDENTITY', 'The key of the certificate request is not on P-256.')
  if (!proved) throw new TunnelError('IDENTITY', 'The signature of the certificate request does not hold.')
  return key
}

/** The private key as Web Cryptography wants it, for signing with ECDSA. */
export function importPkcs8(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ type: 'pkcs8', format: 'der' })
  // The generator of requests exports the public part only, which is always allowed.
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign'])
}

/** The public key as Web Cryptography wants it. */
export function importSpki(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ type: 'spki', format: 'der' })
  return webcrypto.subtle.importKey('spki', der, ALGORITHM, true, ['verify'])
}
