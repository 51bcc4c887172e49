import assert from 'node:assert/strict'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { issueConnector } from '../../../relay/authority/invite.ts'
import {
  type ConnectorCredentials,
  formatCredentials,
  parseCredentials,
  readCredentials,
  requireCertificate,
  writeCredentials,
} from '../../../shared/identity/credentials.ts'
import { exportKey, generateKey } from '../../../shared/identity/keys.ts'
import { Secret } from '../../../shared/secret.ts'
import { LOCATION, openTestAuthority } from '../../relay/authority/authority-fixture.ts'
import { actAt } from '../../support/acts.ts'

async function sample(t: Parameters<typeof openTestAuthority>[0]): Promise<ConnectorCredentials> {
  const { context } = await openTestAuthority(t)
  return (
    await issueConnector(
      context,
      'default',
      { ...LOCATION, environment: 'production', name: 'app', grants: [] },
      actAt(),
    )
  ).credentials
}

test('credentials are written and read back, and only their owner can read the file', async (t) => {
  const { directory } = await openTestAuthority(t)
  const credentials = await sample(t)
  const path = join(directory, 'app.json')
  await writeCredentials(path, credentials)
  const read = requireCertificate(await readCredentials(path))
  assert.deepEqual({ ...read, key: read.key.reveal() }, { ...credentials, key: credentials.key.reveal() })
  await chmod(path, 0o644)
  await assert.rejects(readCredentials(path), { code: 'PERMISSIONS' })
  await assert.rejects(readCredentials(join(directory, 'none.json')), { code: 'CREDENTIALS' })
})

test('credentials whose key, certificate or fields are not right are refused', async (t) => {
  const credentials = await sample(t)
  const foreign = new Secret(exportKey(await generateKey()))
  const text = formatCredentials(credentials).reveal()
  const wrong = [
    '',
    'null',
    '[]',
    text.slice(0, -10),
    text.replace('"version": 1', '"version": 2'),
    text.replace('"version": 1', '"version": 1, "more": 1'),
    text.replace('"app"', '"App"'),
    text.replace('127.0.0.1:8443', '127.0.0.1'),
    text.replace('-----BEGIN PRIVATE', '-----BEGIN PUBLIC'),
    formatCredentials({ ...credentials, key: foreign }).reveal(),
    formatCredentials({ ...credentials, certificate: credentials.ca }).reveal(),
    formatCredentials({ ...credentials, addresses: [] }).reveal(),
  ]
  for (const content of wrong) assert.throws(() => parseCredentials(content), { code: 'CREDENTIALS' })
})

test('the key is in no error and no printing', async (t) => {
  const credentials = await sample(t)
  const key = credentials.key.reveal().slice(30, 60)
  assert.ok(!inspect(credentials, { depth: 9 }).includes(key))
  const text = formatCredentials(credentials).reveal().replace('"kind"', '"kinds"')
  assert.throws(
    () => parseCredentials(text),
    (err) => !inspect(err, { depth: 9 }).includes(key),
  )
})
