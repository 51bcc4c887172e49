import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { writeCredentials } from '../../shared/identity/credentials.ts'
import { sallyport } from '../support/command-line.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

/** A connector's identity as PKCS#12, read by OpenSSL's command and by Java 17, which also reaches the relay with it. */

const run = promisify(execFile)
const PASSWORD = 'kelp, salt & tide'

let kit: RelayKit
let directory: string
let credentials: ConnectorCredentials

const at = (name: string) => join(directory, name)

before(async () => {
  kit = await startKit()
  directory = await mkdtemp(join(tmpdir(), 'sallyport-pkcs12-'))
  credentials = await kit.credentials('java-app', 'berlin/db')
  await writeCredentials(at('app.json'), credentials)
  await writeFile(at('password'), `${PASSWORD}\n`, { mode: 0o600 })
  const files = ['--credentials', at('app.json'), '--pkcs12', at('app.p12'), '--trust', at('trust.p12')]
  const made = await sallyport(['identity', 'export', ...files, '--password-file', at('password')])
  assert.equal(made.status, 0)
})

after(async () => {
  await kit[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

describe('a PKCS#12 file of a connector', () => {
  it('is for its owner alone', async () => {
    for (const name of ['app.p12', 'trust.p12']) assert.equal((await stat(at(name))).mode & 0o777, 0o600)
  })

  it('is what OpenSSL calls PBES2 with AES-256 and HMAC-SHA-256, of 600,000 rounds', async () => {
    const args = ['pkcs12', '-info', '-nokeys', '-in', at('app.p12'), '-passin', `file:${at('password')}`]
    const { stdout, stderr } = await run('openssl', args)
    assert.match(stderr, /MAC: sha256, Iteration 600000\b/)
    assert.match(stderr, /Shrouded Keybag: PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256/)
    assert.match(
      stderr,
      /PKCS7 Encrypted data: PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256/,
    )
    assert.equal(stdout.match(/BEGIN CERTIFICATE/g)?.length, 2)
  })

  it('is a key with its chain to keytool, and the other file a CA that is trusted', async () => {
    const list = async (file: string) =>
      (await run('keytool', ['-list', '-v', '-keystore', at(file), '-storepass:file', at('password')])).stdout
    const own = await list('app.p12')
    assert.match(own, /Alias name: java-app\n/)
    assert.match(own, /Entry type: PrivateKeyEntry\nCertificate chain length: 2/)
    assert.ok(own.includes(new X509Certificate(credentials.certificate).fingerprint256))
    const trust = await list('trust.p12')
    assert.match(trust, /Entry type: trustedCertEntry/)
    assert.ok(trust.includes(new X509Certificate(credentials.ca).fingerprint256))
  })

  it('lets a program in Java in at the relay, until the connector is revoked', async () => {
    const ask = async () => {
      const args = [String(kit.port), at('app.p12'), at('trust.p12'), at('password')]
      return (await run('java', [join(import.meta.dirname, 'ReachRelay.java'), ...args])).stdout
    }
    assert.match(await ask(), /^TLSv1\.3\nHTTP\/1\.1 101 /)
    await kit.command('connector.revoke', {
      ...{ tenant: 'default', environment: 'production', connector: 'java-app' },
    })
    assert.match(await ask(), /"code":"REVOKED"/)
  })
})
