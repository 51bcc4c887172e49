import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { openDatabase } from '../../../relay/store/sqlite-file.ts'
import { SqliteThread } from '../../../relay/store/sqlite-thread.ts'
import { actAt } from '../../support/acts.ts'
import { hashOf, newAgent, openTestStore, temporaryDirectory } from './store-fixture.ts'

const T = 'default'

test('F20: while a change waits for the file, look-ups and everything else go on', async (t) => {
  const { store, path } = await openTestStore(t)
  using other = new DatabaseSync(path)
  other.exec('BEGIN IMMEDIATE')
  let isAdded = false
  const adding = store.addEnvironment(T, 'staging', false, actAt()).then(() => {
    isAdded = true
  })
  const before = await store.listEnvironments(T)
  assert.equal(isAdded, false)
  other.exec('ROLLBACK')
  await adding
  assert.equal((await store.listEnvironments(T)).length, before.length + 1)
})

test('a look-up sees nothing of what is not committed, and changes wait for each other', async (t) => {
  const { store } = await openTestStore(t)
  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const names = async () => (await store.listEnvironments(T)).map(({ name }) => name)
  const together = store.together(T, false, async (within) => {
    await within.addEnvironment(T, 'first', false, actAt())
    begun.resolve()
    await goOn.promise
    throw new Error('undo')
  })
  await begun.promise
  const second = store.addEnvironment(T, 'second', false, actAt())
  assert.equal((await names()).includes('first'), false)
  goOn.resolve()
  await assert.rejects(together, /undo/)
  await second
  assert.deepEqual(
    (await names()).filter((name) => name === 'first' || name === 'second'),
    ['second'],
  )
})

test('a statement on its own waits for the transaction of another, and is no part of it', async (t) => {
  const { store } = await openTestStore(t)
  const token = { tokenHash: hashOf('a'), environment: 'production', site: 'hq', expiresAt: 2_000 }
  await store.createJoinToken(T, token, actAt(500))
  await store.enrollAgent(T, hashOf('a'), newAgent('a'), actAt())
  const renewed = { serial: 'serial-2-a', fingerprint: 'SHA256:a2', notAfter: 9_500 }
  await store.renewAgent(T, 'a', 'serial-1-a', renewed, actAt())
  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const together = store.together(T, false, async (within) => {
    await within.addEnvironment(T, 'first', false, actAt())
    begun.resolve()
    await goOn.promise
    throw new Error('undo')
  })
  await begun.promise
  const confirming = store.confirmAgentCertificate(T, 'a', 'serial-2-a')
  assert.equal((await store.findAgent(T, 'a'))?.previousSerial, 'serial-1-a')
  goOn.resolve()
  await assert.rejects(together, /undo/)
  assert.equal(await confirming, true)
  assert.equal((await store.findAgent(T, 'a'))?.previousSerial, undefined)
})

test('a thread whose file is gone says so, and leaves nothing that runs', async (t) => {
  const path = join(await temporaryDirectory(t), 'none', 'relay.db')
  await assert.rejects(SqliteThread.open(path), { code: 'STORE', detail: /unable to open/ })
})

test('a thread that has been closed takes no more', async (t) => {
  const path = join(await temporaryDirectory(t), 'relay.db')
  ;(await openDatabase(path)).close()
  const thread = await SqliteThread.open(path)
  assert.deepEqual((await thread.run('select count(*) as n from sites', [])).rows, [{ n: 0 }])
  await thread.close()
  await thread.close()
  await assert.rejects(thread.run('select 1', []), { code: 'STORE' })
})
