import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { SERVER_NAMES } from '../../../relay/store/migrations/0002-server-names.ts'
import { SCHEMA_VERSION } from '../../../relay/store/schema.ts'
import { openSqliteStore } from '../../../relay/store/sqlite-store.ts'
import { actAt } from '../../support/acts.ts'
import { hashOf, newAgent, newConnector, storeOptions, temporaryDirectory } from './store-fixture.ts'

const T = 'default'

/** A store of version 1 with a site and two publications in it. */
async function storeOfVersion1(t: TestContext): Promise<string> {
  const path = join(await temporaryDirectory(t), 'relay.db')
  await writeFile(path, '', { mode: 0o600 })
  const db = new DatabaseSync(path)
  db.exec(await readFile(join(import.meta.dirname, 'schema-1.sql'), 'utf8'))
  db.exec(`
    INSERT INTO sites VALUES ('default', 'berlin', 5);
    INSERT INTO publications VALUES ('default', 'host', 'app.example.org', 'berlin', 'web');
    INSERT INTO publications VALUES ('default', 'tcp', '127.0.0.1:5432', 'berlin', 'db');
  `)
  db.close()
  return path
}

function versionOf(path: string): unknown {
  const db = new DatabaseSync(path)
  try {
    return db.prepare('PRAGMA user_version').get()?.user_version
  } finally {
    db.close()
  }
}

test('a store of version 1 is brought to the newest with all that is in it', async (t) => {
  const path = await storeOfVersion1(t)
  const sni = {
    kind: 'sni',
    address: 'db.example.org',
    environment: 'production',
    site: 'berlin',
    resource: 'db',
  } as const
  {
    await using store = await openSqliteStore(path, storeOptions())
    assert.deepEqual(await store.listSites(T), [{ environment: 'production', name: 'berlin' }])
    await store.publish(T, sni, actAt())
    await store.addConnector(T, newConnector('c1', 'shop'), [{ site: 'berlin', resource: 'db' }], actAt())
  }
  assert.equal(versionOf(path), SCHEMA_VERSION)
  await using again = await openSqliteStore(path, storeOptions())
  assert.deepEqual(await again.listPublications(T), [
    { kind: 'host', address: 'app.example.org', environment: 'production', site: 'berlin', resource: 'web' },
    sni,
    { kind: 'tcp', address: '127.0.0.1:5432', environment: 'production', site: 'berlin', resource: 'db' },
  ])
})

test('a store of version 2 keeps everything, in production of the default tenant', async (t) => {
  const path = await storeOfVersion1(t)
  const old = new DatabaseSync(path)
  old.exec(SERVER_NAMES)
  old.exec(`
    PRAGMA user_version = 2;
    INSERT INTO join_tokens VALUES ('default', x'${hashOf('x').toString('hex')}', 'berlin', 5, 9000, NULL, NULL);
    INSERT INTO agents VALUES
      ('default', 'a', 'berlin', 's2', 's1', 2, 'SHA256:a', 9000, '0.1.0', 'i', '192.0.2.1', 5, 6, NULL),
      ('default', 'b', 'berlin', 's3', NULL, 1, 'SHA256:b', 9000, '0.1.0', 'i', '192.0.2.1', 6, 6, 7);
    INSERT INTO connectors VALUES ('default', 'c', 'app', 's4', 'SHA256:c', 9000, 5, NULL);
    INSERT INTO grants VALUES ('default', 'c', 'berlin', 'db');
  `)
  old.close()
  {
    await using store = await openSqliteStore(path, storeOptions())
    assert.deepEqual(
      (await store.listEnvironments(T)).map(({ name }) => name),
      ['development', 'production', 'test'],
    )
    assert.deepEqual(await store.listSites(T), [{ environment: 'production', name: 'berlin' }])
    const [a, b] = await store.listAgents(T, { environment: 'production', site: 'berlin' })
    assert.deepEqual([a?.id, a?.previousSerial, a?.generation, a?.revokedAt], ['a', 's1', 2, undefined])
    assert.deepEqual([b?.id, b?.revokedAt], ['b', 7])
    assert.equal((await store.findConnectorByName(T, 'production', 'app'))?.id, 'c')
    assert.equal((await store.grantTerms(T, 'c', 'berlin', 'db')).length, 1)
    assert.equal((await store.listPublications(T, 'production')).length, 2)
    assert.equal(await store.relay.tenantOfJoinToken(hashOf('x')), T)
    assert.equal(await store.enrollAgent(T, hashOf('x'), newAgent('late'), actAt()), 'berlin')
  }
  const db = new DatabaseSync(path)
  assert.deepEqual(db.prepare('PRAGMA foreign_key_check').all(), [])
  db.close()
})

test('a step that fails leaves the store as it was', async (t) => {
  const path = await storeOfVersion1(t)
  const db = new DatabaseSync(path)
  db.exec(
    "INSERT INTO publications VALUES ('default', 'tcp', 'x', 'berlin', 'db'); CREATE TABLE publications_2 (a)",
  )
  db.close()
  await assert.rejects(openSqliteStore(path, storeOptions()), { code: 'STORE' })
  assert.equal(versionOf(path), 1)
  const after = new DatabaseSync(path)
  assert.equal(after.prepare('SELECT count(*) AS n FROM publications').get()?.n, 3)
  after.close()
})

test('a name is published by one kind only, an address of TCP beside it', async (t) => {
  await using store = await openSqliteStore(join(await temporaryDirectory(t), 'relay.db'), storeOptions())
  const one = {
    kind: 'host',
    address: 'app.example.org',
    environment: 'production',
    site: 'berlin',
    resource: 'web',
  } as const
  await store.publish(T, one, actAt())
  await assert.rejects(store.publish(T, { ...one, kind: 'sni' }, actAt()), { code: 'CONFLICT' })
  await store.publish(T, { ...one, kind: 'tcp' }, actAt())
  await store.unpublish(T, 'host', one.address, actAt())
  await store.publish(T, { ...one, kind: 'sni' }, actAt())
  await assert.rejects(store.publish(T, one, actAt()), { code: 'CONFLICT' })
})
