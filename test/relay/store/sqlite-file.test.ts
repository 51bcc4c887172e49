import assert from 'node:assert/strict'
import { chmod, open, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { openSqliteStore } from '../../../relay/store/sqlite-store.ts'
import { actAt } from '../../support/acts.ts'
import { storeOptions, temporaryDirectory } from './store-fixture.ts'

/** F21: single faults of the file; test/faults/store-damaged.test.ts damages every page. */

async function closedStore(t: TestContext): Promise<string> {
  const path = join(await temporaryDirectory(t), 'relay.db')
  await (await openSqliteStore(path, storeOptions()))[Symbol.asyncDispose]()
  return path
}

test('a new store is private, waits for the disk and keeps a write-ahead log', async (t) => {
  const path = join(await temporaryDirectory(t), 'relay.db')
  await using store = await openSqliteStore(path, storeOptions())
  await store.createJoinToken(
    'default',
    {
      tokenHash: Buffer.alloc(32),
      site: 's',
      environment: 'production',
      expiresAt: 1,
    },
    actAt(500),
  )
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal((await stat(`${path}-wal`)).mode & 0o777, 0o600)
})

test('an empty file is refused and stays empty', async (t) => {
  const path = join(await temporaryDirectory(t), 'relay.db')
  await writeFile(path, '', { mode: 0o600 })
  await assert.rejects(openSqliteStore(path, storeOptions()), { code: 'STORE', next: /restore/ })
  assert.equal((await readFile(path)).length, 0)
})

test('a file of rubbish is refused and left as it is', async (t) => {
  const path = join(await temporaryDirectory(t), 'relay.db')
  const rubbish = Buffer.alloc(8192, 'rubbish')
  await writeFile(path, rubbish, { mode: 0o600 })
  await assert.rejects(openSqliteStore(path, storeOptions()), { code: 'STORE', next: /restore/ })
  assert.deepEqual(await readFile(path), rubbish)
})

test('a damaged page is found when the store is opened', async (t) => {
  const path = await closedStore(t)
  await using file = await open(path, 'r+')
  await file.write(Buffer.alloc(3 * 4096, 0xff), 0, 3 * 4096, 2 * 4096)
  await assert.rejects(openSqliteStore(path, storeOptions()), { code: 'STORE', next: /restore/ })
})

test('the database of another program is refused', async (t) => {
  const path = join(await temporaryDirectory(t), 'relay.db')
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE agents (id TEXT)')
  db.close()
  await chmod(path, 0o600)
  await assert.rejects(openSqliteStore(path, storeOptions()), { code: 'STORE' })
})

test('a schema of a later version is refused', async (t) => {
  const path = await closedStore(t)
  const db = new DatabaseSync(path)
  db.exec('PRAGMA user_version = 99')
  db.close()
  await assert.rejects(openSqliteStore(path, storeOptions()), {
    code: 'STORE',
    next: /the version of Sallyport that wrote it/,
  })
})

test('a store that others can read is refused', async (t) => {
  const path = await closedStore(t)
  await chmod(path, 0o640)
  await assert.rejects(openSqliteStore(path, storeOptions()), { code: 'PERMISSIONS' })
})

test('what a crash left of the making of a store is no store', async (t) => {
  const path = join(await temporaryDirectory(t), 'relay.db')
  await writeFile(`${path}.new`, 'half')
  await using store = await openSqliteStore(path, storeOptions())
  assert.deepEqual(await store.listSites('default'), [])
})
