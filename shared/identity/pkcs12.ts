import { createHash, createHmac, type X509Certificate } from 'node:crypto'
import type { Attribute, SafeBag } from 'pkijs'
import type { Effects } from '../effects.ts'
import { TunnelError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { importKey } from './keys.ts'

/**
 * Iterations for a guess at the password, at the encryption and at the check sum alike: who has the file tries against the
 * cheaper of both.
 */
export const PKCS12_ITERATIONS = 600_000

const SALT_BYTES = 16

/** Java, .NET and OpenSSL agree on what the bytes of such a password are, and on no others. */
const PASSWORD = /^[ -~]{8,128}$/

const CONTENT_ENCRYPTION = { name: 'AES-CBC', length: 256 } as const
const SHA_256 = '2.16.840.1.101.3.4.2.1'
const DATA = '1.2.840.113549.1.7.1'
const KEY_BAG = '1.2.840.113549.1.12.10.1.2'
const CERTIFICATE_BAG = '1.2.840.113549.1.12.10.1.3'
const FRIENDLY_NAME = '1.2.840.113549.1.9.20'
const LOCAL_KEY_ID = '1.2.840.113549.1.9.21'
/** By it Java knows a certificate that is trusted from one of a chain. */
const TRUSTED_KEY_USAGE = '2.16.840.1.113894.746875.1.1'
const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0'

/** How a file of this kind is made. */
export interface Pkcs12Options {
  /** 8 to 128 printable characters of ASCII. */
  readonly password: Secret<string>
  readonly effects: Pick<Effects, 'randomBytes'>
  /** {@link PKCS12_ITERATIONS} unless a test has no time. */
  readonly iterations?: number
}

export interface Pkcs12Identity {
  /** By which programs find it in the file: ASCII. */
  readonly name: string
  /** PKCS#8 PEM, P-256. */
  readonly key: Secret<string>
  /** The certificate of the key first, its issuer's behind it. */
  readonly chain: readonly X509Certificate[]
}

/**
 * A PKCS#12 file (RFC 7292) with a key and its chain: PBES2 with AES-256 and PBKDF2 on HMAC-SHA-256, and a check sum by
 * HMAC-SHA-256, as Java makes them from version 17 on. .NET and OpenSSL read it too.
 * @throws {TunnelError} USAGE where the password is none
 */
export async function identityPkcs12(identity: Pkcs12Identity, options: Pkcs12Options): Promise<Buffer> {
  const { key, chain, name } = identity
  const { pkijs, encryption } = await toolsFor(options)
  const bag = new pkijs.PKCS8ShroudedKeyBag({
    parsedValue: pkijs.PrivateKeyInfo.fromBER(
      importKey(key.reveal()).export({ type: 'pkcs8', format: 'der' }),
    ),
  })
  await bag.makeInternalValues(encryption)
  const [leaf] = chain
  const keyId = createHash('sha256')
    .update(leaf?.raw ?? '')
    .digest()
  const owned = [await friendlyName(name), await localKeyId(keyId)]
  const keyBag = new pkijs.SafeBag({ bagId: KEY_BAG, bagValue: bag, bagAttributes: owned })
  const certificates = await Promise.all(
    chain.map((one, index) => certificateBag(one, index === 0 ? owned : undefined)),
  )
  return sealed([keyBag], certificates, options)
}

/**
 * A PKCS#12 file with nothing but a CA that is trusted, for Java.
 * @throws {TunnelError} USAGE where the password is none
 */
export async function trustPkcs12(
  name: string,
  ca: X509Certificate,
  options: Pkcs12Options,
): Promise<Buffer> {
  const trusted = [await friendlyName(name), await trustedKeyUsage()]
  return sealed([], [await certificateBag(ca, trusted)], options)
}

async function toolsFor({ password, iterations = PKCS12_ITERATIONS }: Pkcs12Options) {
  const text = password.reveal()
  if (!PASSWORD.test(text)) {
    throw new TunnelError('USAGE', 'The password has 8 to 128 printable characters of ASCII.', {
      next: 'others are written as other bytes by Java, .NET and OpenSSL',
    })
  }
  const encryption = {
    password: new Uint8Array(Buffer.from(text, 'latin1')).buffer,
    contentEncryptionAlgorithm: CONTENT_ENCRYPTION,
    hmacHashAlgorithm: 'SHA-256',
    iterationCount: iterations,
  }
  return { pkijs: await import('pkijs'), encryption }
}

/** Keys are encrypted each by itself, certificates together; the check sum is over all. */
async function sealed(
  keys: readonly SafeBag[],
  certificates: readonly SafeBag[],
  options: Pkcs12Options,
): Promise<Buffer> {
  const { pkijs, encryption } = await toolsFor(options)
  const { OctetString } = await import('asn1js')
  const contents = [
    ...(keys.length === 0
      ? []
      : [{ privacyMode: 0, value: new pkijs.SafeContents({ safeBags: [...keys] }) }]),
    { privacyMode: 1, value: new pkijs.SafeContents({ safeBags: [...certificates] }) },
  ]
  const safe = new pkijs.AuthenticatedSafe({ parsedValue: { safeContents: contents } })
  await safe.makeInternalValues({
    safeContents: contents.map(({ privacyMode }) => (privacyMode === 0 ? {} : encryption)),
  })
  const content = Buffer.from(safe.toSchema().toBER())
  const salt = options.effects.randomBytes(SALT_BYTES)
  const { iterations = PKCS12_ITERATIONS, password } = options
  const pfx = new pkijs.PFX({
    authSafe: new pkijs.ContentInfo({
      contentType: DATA,
      content: new OctetString({ valueHex: bytes(content) }),
    }),
    macData: new pkijs.MacData({
      mac: new pkijs.DigestInfo({
        digestAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: SHA_256 }),
        digest: new OctetString({
          valueHex: bytes(
            createHmac('sha256', macKey(password, salt, iterations))
              .update(content)
              .digest(),
          ),
        }),
      }),
      macSalt: new OctetString({ valueHex: bytes(salt) }),
      iterations,
    }),
  })
  return Buffer.from(pfx.toSchema().toBER())
}

/**
 * The key of the check sum, RFC 7292 appendix B.2 with ID 3. SHA-256 gives as many bytes as are wanted, so there is one
 * block, and nothing of it goes into the next.
 */
function macKey(password: Secret<string>, salt: Uint8Array, iterations: number): Buffer {
  const block = 64
  const fill = (source: Uint8Array) => Buffer.alloc(Math.ceil(source.length / block) * block, source)
  const text = Buffer.from(`${password.reveal()}\0`, 'utf16le').swap16()
  let key = Buffer.concat([Buffer.alloc(block, 3), fill(salt), fill(text)])
  for (let count = 0; count < iterations; count++) key = createHash('sha256').update(key).digest()
  return key
}

async function certificateBag(certificate: X509Certificate, attributes?: Attribute[]): Promise<SafeBag> {
  const pkijs = await import('pkijs')
  return new pkijs.SafeBag({
    bagId: CERTIFICATE_BAG,
    bagValue: new pkijs.CertBag({ parsedValue: pkijs.Certificate.fromBER(bytes(certificate.raw)) }),
    ...(attributes === undefined ? {} : { bagAttributes: attributes }),
  })
}

async function friendlyName(name: string) {
  const [pkijs, { BmpString }] = [await import('pkijs'), await import('asn1js')]
  return new pkijs.Attribute({ type: FRIENDLY_NAME, values: [new BmpString({ value: name })] })
}

async function localKeyId(id: Uint8Array) {
  const [pkijs, { OctetString }] = [await import('pkijs'), await import('asn1js')]
  return new pkijs.Attribute({ type: LOCAL_KEY_ID, values: [new OctetString({ valueHex: bytes(id) })] })
}

async function trustedKeyUsage() {
  const [pkijs, { ObjectIdentifier }] = [await import('pkijs'), await import('asn1js')]
  const any = new ObjectIdentifier({ value: ANY_EXTENDED_KEY_USAGE })
  return new pkijs.Attribute({ type: TRUSTED_KEY_USAGE, values: [any] })
}

/** A copy with a buffer of its own, as these libraries want it. */
function bytes(source: Uint8Array): ArrayBuffer {
  return new Uint8Array(source).buffer
}
