import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import forge from 'node-forge'
import type { Signing } from './signing.ts'

/** The channel of builds that nobody signed: their keys lie on the machine that made them. */
const TEST_CHANNEL = 'test'

/** OpenSSL asks for this where mail is signed, which is what it takes a CMS signature for. */
const CMS_USAGE = { emailProtection: true }
const CODE_USAGE = { codeSigning: true }

/**
 * Keys for a build without real ones, made once and kept in `directory`, so that two builds on one machine are alike.
 * What they sign says channel `test`.
 */
export async function testSigning(directory: string): Promise<Signing> {
  if (!existsSync(directory)) await makeKeys(directory)
  const path = (name: string) => join(directory, name)
  return {
    channel: TEST_CHANNEL,
    roots: path('roots.json'),
    releaseKeys: ['release-1.key', 'release-2.key'].map(path),
    authenticode: { certificate: path('code.pem'), key: path('code.key') },
    cms: { certificate: path('cms.pem'), key: path('cms.key') },
  }
}

async function makeKeys(directory: string): Promise<void> {
  const growing = `${directory}.new`
  await rm(growing, { recursive: true, force: true })
  await mkdir(growing, { recursive: true, mode: 0o700 })
  const keys: string[] = []
  for (const number of [1, 2, 3]) {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    await writePrivateKey(join(growing, `release-${number}.key`), privateKey)
    keys.push(publicKey.export({ type: 'spki', format: 'der' }).toString('base64'))
  }
  const roots = { channel: TEST_CHANNEL, threshold: 2, keys }
  await writeFile(join(growing, 'roots.json'), `${JSON.stringify(roots, null, 2)}\n`)
  await makeCertificate(growing, 'code', CODE_USAGE)
  await makeCertificate(growing, 'cms', CMS_USAGE)
  await rename(growing, directory)
}

/** A key with a certificate that it signed itself: NAME.key and NAME.pem. */
async function makeCertificate(directory: string, name: string, usage: object): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3_072 })
  await writePrivateKey(join(directory, `${name}.key`), privateKey)
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(
    publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  )
  certificate.serialNumber = '01'
  certificate.validity.notBefore = new Date('2026-01-01T00:00:00Z')
  certificate.validity.notAfter = new Date('2036-01-01T00:00:00Z')
  const subject = [{ name: 'commonName', value: `Sallyport TEST ${name} signing, not for release` }]
  certificate.setSubject(subject)
  certificate.setIssuer(subject)
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, critical: true },
    { name: 'extKeyUsage', ...usage },
  ])
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  certificate.sign(forge.pki.privateKeyFromPem(pem), forge.md.sha256.create())
  await writeFile(join(directory, `${name}.pem`), forge.pki.certificateToPem(certificate))
}

async function writePrivateKey(path: string, key: KeyObject): Promise<void> {
  await writeFile(path, key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
}
