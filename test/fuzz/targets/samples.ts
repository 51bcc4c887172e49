import 'reflect-metadata'
import { generateKeyPairSync, webcrypto } from 'node:crypto'
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
import { createCsr, importPkcs8, importSpki } from '../../../shared/identity/csr.ts'
import { formatJoinString } from '../../../shared/identity/join-string.ts'
import { exportKey } from '../../../shared/identity/keys.ts'
import { Secret } from '../../../shared/secret.ts'

/** Right texts for the readers to begin with. The keys are made anew each time; kept inputs hold their own bytes. */
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const certificate = await X509CertificateGenerator.createSelfSigned(
  {
    name: 'CN=sample',
    keys: { privateKey: await importPkcs8(privateKey), publicKey: await importSpki(publicKey) },
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new SubjectAlternativeNameExtension([
        { type: 'url', value: 'sallyport://default/connector/0123456789abcdef' },
      ]),
    ],
  },
  webcrypto,
)

export const CREDENTIALS = {
  version: 1,
  kind: 'sallyport-connector',
  connector: 'app',
  relays: ['relay.example.org:443'],
  serverName: 'relay.example.org',
  ca: certificate.toString('pem'),
  certificate: certificate.toString('pem'),
  key: exportKey(privateKey),
}

export const JOIN_STRING = formatJoinString({
  addresses: [{ host: 'relay.example.org', port: 443 }],
  serverName: 'relay.example.org',
  caPin: Buffer.alloc(32, 7),
  token: new Secret(Buffer.alloc(32, 9)),
}).reveal()

export const CSR = await createCsr(privateKey)
