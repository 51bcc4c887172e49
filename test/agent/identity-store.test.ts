import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { type AgentIdentity, identityPath, readIdentity, writeIdentity } from '../../agent/identity-store.ts'
import { readSettings } from '../../agent/settings.ts'
import { enroll } from '../../relay/authority/enroll.ts'
import { realFileSteps } from '../../shared/config/private-file.ts'
import { createCsr } from '../../shared/identity/csr.ts'
import { exportKey, generateKey } from '../../shared/identity/keys.ts'
import { Secret } from '../../shared/secret.ts'
import {
  enrollBody,
  LOCATION,
  newToken,
  ORIGIN,
  openTestAuthority,
} from '../relay/authority/authority-fixture.ts'
import { temporaryDirectory } from '../relay/store/store-fixture.ts'

async function newIdentity(t: TestContext): Promise<AgentIdentity> {
  const { context } = await openTestAuthority(t)
  const key = await generateKey()
  const body = { ...(await enrollBody(await newToken(context))), csr: await createCsr(key) }
  const { fingerprint: _fingerprint, ...issued } = await enroll(context, body, ORIGIN)
  const ca = context.authority.certificate.toString()
  return { ...issued, ...LOCATION, ca, key: new Secret(exportKey(key)), obtainedAt: 5 }
}

test('a directory without an identity has none', async (t) => {
  assert.equal(await readIdentity(await temporaryDirectory(t)), undefined)
})

for (const step of ['create', 'write', 'sync', 'rename', 'syncDirectory'] as const) {
  test(`a crash at ${step} leaves the old identity or the new one, whole`, async (t) => {
    const directory = await temporaryDirectory(t)
    const [old, next] = [await newIdentity(t), await newIdentity(t)]
    await writeIdentity(directory, old)
    const steps = { ...realFileSteps, [step]: () => Promise.reject(new Error('crash')) }
    await assert.rejects(writeIdentity(directory, next, steps), { message: 'crash' })
    const expected = step === 'syncDirectory' ? next : old
    assert.equal((await readIdentity(directory))?.agentId, expected.agentId)
  })
}

test('a damaged identity is refused without a word of its key', async (t) => {
  const directory = await temporaryDirectory(t)
  const identity = await newIdentity(t)
  await writeIdentity(directory, identity)
  const path = identityPath(directory)
  const text = await readFile(path, 'utf8')
  const other = JSON.stringify(exportKey(await generateKey())).slice(1, -1)
  const key = JSON.stringify(identity.key.reveal()).slice(1, -1)
  const wrong = [
    '',
    text.slice(0, 500),
    text.replace('"version": 1', '"version": 2'),
    text.replace('"obtainedAt": 5', '"obtainedAt": -5'),
    text.replace(identity.agentId, 'a'.repeat(26)),
    text.replace(key, other),
    text.replace(key, key.slice(0, 80)),
  ]
  for (const content of wrong) {
    await writeFile(path, content)
    await assert.rejects(readIdentity(directory), (err: Error & { code: string }) => {
      return err.code === 'IDENTITY' && !inspect(err, { depth: 9 }).includes(key.slice(40, 70))
    })
  }
})

test('settings of another identity, as a crash may leave them, give way to those of this one', async (t) => {
  const directory = await temporaryDirectory(t)
  const [old, next] = [await newIdentity(t), await newIdentity(t)]
  assert.equal((await readSettings(directory, old)).agentId, old.agentId)
  assert.equal((await readSettings(directory, next)).agentId, next.agentId)
  assert.match(await readFile(join(directory, 'settings.json'), 'utf8'), new RegExp(next.agentId))
})

test('an address that the administrator changed in the settings counts, and a wrong one is refused', async (t) => {
  const directory = await temporaryDirectory(t)
  const identity = await newIdentity(t)
  const path = join(directory, 'settings.json')
  await readSettings(directory, identity)
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace('127.0.0.1:8443', 'relay.example.org:443'))
  assert.deepEqual((await readSettings(directory, identity)).addresses, [
    { host: 'relay.example.org', port: 443 },
  ])
  await writeFile(path, text.replace('127.0.0.1:8443', 'relay'))
  await assert.rejects(readSettings(directory, identity), { code: 'CONFIG', message: /relays/ })
  await writeFile(path, text.slice(0, 20))
  await assert.rejects(readSettings(directory, identity), { code: 'CONFIG' })
  assert.equal(await readFile(path, 'utf8'), text.slice(0, 20))
})
