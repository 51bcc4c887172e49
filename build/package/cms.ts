import { readFile } from 'node:fs/promises'
import forge from 'node-forge'
import type { Signing } from './signing.ts'

/**
 * A detached CMS signature (RFC 5652) over `content`, for those who have openssl and no Sallyport:
 * `openssl cms -verify -binary -inform PEM -in SHA256SUMS.p7s -content SHA256SUMS -CAfile CERTIFICATE`.
 * @param epoch the signing time, in seconds since 1970
 * @returns PEM
 */
export async function signCms(
  content: string,
  { certificate, key }: Signing['cms'],
  epoch: number,
): Promise<string> {
  const signer = forge.pki.certificateFromPem(await readFile(certificate, 'utf8'))
  const message = forge.pkcs7.createSignedData()
  message.content = forge.util.createBuffer(content, 'utf8')
  message.addCertificate(signer)
  message.addSigner({
    key: await readFile(key, 'utf8'),
    certificate: signer,
    digestAlgorithm: forge.pki.oids.sha256 ?? '',
    authenticatedAttributes: [
      { type: forge.pki.oids.contentType ?? '', value: forge.pki.oids.data ?? '' },
      { type: forge.pki.oids.messageDigest ?? '' },
      { type: forge.pki.oids.signingTime ?? '', value: new Date(epoch * 1_000).toISOString() },
    ],
  })
  message.sign({ detached: true })
  return forge.pkcs7.messageToPem(message).replaceAll('\r', '')
}
