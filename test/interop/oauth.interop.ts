import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { realEffects } from '../../shared/effects.ts'
import { selfSignedIdentity } from '../../shared/identity/self-signed.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

// Tokens of machines with requests-oauthlib as the client. Run alone, with that in a directory:
// INTEROP_PYTHON=DIR node test/run.ts test/interop/oauth.interop.ts

let kit: RelayKit
let directory: string
let machine: { readonly clientId: string; readonly clientSecret: string }

const at = (name: string) => join(directory, name)

before(async () => {
  kit = await startKit()
  directory = await mkdtemp(join(tmpdir(), 'sallyport-oauth-'))
  const made = { tenant: 'default', machine: 'deploy', role: 'auditor', viaApi: true }
  machine = (await kit.command('machine.add', made)) as typeof machine
  const own = await selfSignedIdentity(realEffects)
  await writeFile(at('ca.pem'), kit.relay.authority.authority.certificate.toString())
  await writeFile(at('own.pem'), own.certificate)
  await writeFile(at('own.key'), own.key.reveal(), { mode: 0o600 })
})

after(async () => {
  await kit[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

async function ask(more: object): Promise<unknown> {
  const child = spawn('/usr/bin/python3', [join(import.meta.dirname, 'oauth-client.py')], {
    env: { ...process.env, PYTHONPATH: process.env.INTEROP_PYTHON ?? '' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const issuer = `https://127.0.0.1:${kit.port}`
  const { clientId: id, clientSecret: secret } = machine
  child.stdin.end(JSON.stringify({ issuer, ca: at('ca.pem'), id, secret, ...more }))
  const [answer] = await Promise.all([text(child.stdout), once(child, 'close')])
  return JSON.parse(answer)
}

test('requests-oauthlib gets a token by what the relay says of itself, and asks the API with it', async () => {
  assert.deepEqual(await ask({}), { status: 200, life: 900 })
})

test('its token is bound to the certificate of its own making, and worth nothing without', async () => {
  const own = { certificate: at('own.pem'), key: at('own.key') }
  assert.deepEqual(await ask(own), { status: 200, life: 900, without: 401 })
})

test('it understands how a wrong secret is refused', async () => {
  const secret = machine.clientSecret.replace(/.{6}$/, 'AAAAAA')
  assert.deepEqual(await ask({ secret }), { error: 'invalid_client' })
})
