import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createCsr, verifyCsr } from '../../../shared/identity/csr.ts'
import {
  exportKey,
  fingerprint,
  generateKey,
  importKey,
  isFingerprint,
  spkiHash,
} from '../../../shared/identity/keys.ts'
import { formatId, formatSubject, ID_PATTERN, parseSubject } from '../../../shared/identity/subject.ts'

test('private and public key have the same fingerprint, in one form', async () => {
  const key = await generateKey()
  assert.equal(fingerprint(key), fingerprint(createPublicKey(key)))
  assert.equal(fingerprint(importKey(exportKey(key))), fingerprint(key))
  assert.equal(isFingerprint(fingerprint(key)), true)
  assert.equal(spkiHash(key).length, 32)
})

test('a key of another kind is refused without a word of its content', () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
  assert.throws(() => importKey(exportKey(other)), { code: 'CONFIG' })
  const cut = exportKey(other).slice(0, 60)
  assert.throws(
    () => importKey(cut),
    (err: Error) => !err.message.includes(cut.slice(30)),
  )
})

test('a certificate request proves its key', async () => {
  const key = await generateKey()
  assert.equal(fingerprint(await verifyCsr(await createCsr(key))), fingerprint(key))
})

test('a request whose signature is not by its key is refused', async () => {
  const pem = await createCsr(await generateKey())
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  const last = der.length - 1
  der.writeUInt8(der.readUInt8(last) ^ 1, last)
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  await assert.rejects(verifyCsr(forged), { code: 'IDENTITY', message: /signature/ })
})

test('a request for another kind of key, or of no kind, is refused', async () => {
  const x509 = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' }
  const keys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
  const other = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm })
  await assert.rejects(verifyCsr(other.toString('pem')), { code: 'IDENTITY', message: /P-256/ })
  for (const text of [
    '',
    'x',
    `-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n`,
  ]) {
    await assert.rejects(verifyCsr(text), { code: 'IDENTITY' })
  }
  await assert.rejects(verifyCsr(other.toString('pem').padEnd(5000)), { code: 'IDENTITY' })
})

test('subjects are written and read back', () => {
  const id = formatId(randomBytes(16))
  assert.match(id, ID_PATTERN)
  for (const kind of ['agent', 'connector'] as const) {
    const subject = { kind, tenantId: 'default', id }
    assert.deepEqual(parseSubject(formatSubject(subject)), subject)
  }
})

test('what is not exactly one subject is none', () => {
  const id = 'a'.repeat(26)
  const wrong = [
    '',
    `sallyport://default/agent/${id}x`,
    `sallyport://default/user/${id}`,
    `sallyport://Default/agent/${id}`,
    `sallyport://default/agent/${id}/x`,
    `sallyport://default/agent/${id}, URI:sallyport://default/agent/${id}`,
    `http://default/agent/${id}`,
    `sallyport://default/agent/${id}\n`,
  ]
  for (const uri of wrong) assert.equal(parseSubject(uri), undefined, uri)
})

test('two different randoms are two different ids', () => {
  assert.notEqual(formatId(Buffer.alloc(16)), formatId(Buffer.alloc(16, 1)))
  assert.equal(formatId(Buffer.alloc(16, 0xff)), `h${'7'.repeat(25)}`)
})
