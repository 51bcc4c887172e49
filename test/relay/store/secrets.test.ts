import assert from 'node:assert/strict'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { openSqliteStore } from '../../../relay/store/sqlite-store.ts'
import { seal, unseal } from '../../../relay/store/vault/envelope.ts'
import { commandWrapper } from '../../../relay/store/vault/key-command.ts'
import { MasterKeyFile } from '../../../relay/store/vault/master-key.ts'
import { openMasterKeys } from '../../../relay/store/vault/master-keys.ts'
import { realEffects } from '../../../shared/effects.ts'
import { actAt } from '../../support/acts.ts'
import { openTestStore, storeOptions, temporaryDirectory } from './store-fixture.ts'

const CANARY = Buffer.from('canary-4711-not-to-be-seen')

function run(path: string, sql: string): void {
  const db = new DatabaseSync(path)
  db.exec(sql)
  db.close()
}

test('S32: a secret is in no file of the store, and comes back as it was', async (t) => {
  const { store, path } = await openTestStore(t)
  await store.putSecret('default', 'totp/ann', CANARY, actAt())
  assert.deepEqual((await store.getSecret('default', 'totp/ann'))?.reveal(), CANARY)
  for (const file of [path, `${path}-wal`]) assert.equal((await readFile(file)).includes(CANARY), false)
  await store.putSecret('default', 'totp/ann', Buffer.from('other'), actAt())
  assert.equal((await store.getSecret('default', 'totp/ann'))?.reveal().toString(), 'other')
  assert.equal(`${await store.getSecret('default', 'totp/ann')}`, '[redacted]')
})

test('a sealed secret opens in its own row, under its own tenant and whole only', async (t) => {
  const { store, path } = await openTestStore(t)
  await store.relay.addTenant('other', actAt())
  for (const tenant of ['default', 'other']) {
    for (const name of ['a', 'b'])
      await store.putSecret(tenant, name, Buffer.from(`${tenant} ${name}`), actAt())
  }
  const swapped = "(SELECT sealed FROM secrets WHERE tenant_id = 'default' AND name = 'a')"
  run(path, `UPDATE secrets SET sealed = ${swapped} WHERE name = 'b'`)
  await assert.rejects(store.getSecret('default', 'b'), { code: 'STORE' })
  await assert.rejects(store.getSecret('other', 'b'), { code: 'STORE' })
  run(
    path,
    "UPDATE secrets SET sealed = CAST(x'00000001' || zeroblob(40) AS BLOB) WHERE name = 'a' AND tenant_id = 'other'",
  )
  await assert.rejects(store.getSecret('other', 'a'), { code: 'STORE' })
  run(path, "UPDATE secrets SET sealed = x'00' WHERE name = 'a' AND tenant_id = 'other'")
  await assert.rejects(store.getSecret('other', 'a'), { code: 'STORE' })
  assert.equal((await store.getSecret('default', 'a'))?.reveal().toString(), 'default a')
})

test('a new key seals every secret anew, and the old key is gone', async (t) => {
  const { store, path } = await openTestStore(t)
  for (const name of ['a', 'b']) await store.putSecret('default', name, Buffer.from(name), actAt())
  const cells = () => {
    const db = new DatabaseSync(path)
    const rows = db.prepare('SELECT hex(sealed) AS sealed FROM secrets ORDER BY name').all()
    const keys = db.prepare('SELECT version FROM tenant_keys').all()
    db.close()
    return { sealed: rows.map((row) => String(row.sealed)), versions: keys.map(({ version }) => version) }
  }
  const before = cells()
  assert.equal(await store.rekey('default', actAt()), 2)
  const after = cells()
  assert.deepEqual([before.versions, after.versions], [[1], [2]])
  assert.ok(after.sealed.every((one, i) => one !== before.sealed[i] && one.startsWith('00000002')))
  assert.equal((await store.getSecret('default', 'b'))?.reveal().toString(), 'b')
  await using again = await openSqliteStore(path, storeOptions())
  assert.equal((await again.getSecret('default', 'a'))?.reveal().toString(), 'a')
})

test('a secret that is put while its key is replaced is sealed under the new one', async (t) => {
  const { store } = await openTestStore(t)
  await store.putSecret('default', 'first', CANARY, actAt())
  const names = Array.from({ length: 20 }, (_, i) => `s${i}`)
  const puts = names.map((name) => store.putSecret('default', name, Buffer.from(name), actAt()))
  await Promise.all([...puts, store.rekey('default', actAt()), store.rekey('default', actAt())])
  for (const name of names) {
    assert.equal((await store.getSecret('default', name))?.reveal().toString(), name)
  }
  assert.deepEqual((await store.getSecret('default', 'first'))?.reveal(), CANARY)
})

test('a step that fails leaves the old key and the old secrets', async (t) => {
  const { store, path } = await openTestStore(t)
  await store.putSecret('default', 'a', CANARY, actAt())
  run(path, "CREATE TRIGGER refuse BEFORE UPDATE ON secrets BEGIN SELECT RAISE(ABORT, 'no'); END")
  await assert.rejects(store.rekey('default', actAt()), { code: 'STORE' })
  assert.deepEqual((await store.getSecret('default', 'a'))?.reveal(), CANARY)
  run(path, 'DROP TRIGGER refuse')
  assert.equal(await store.rekey('default', actAt()), 1)
  assert.deepEqual((await store.getSecret('default', 'a'))?.reveal(), CANARY)
})

test('without the master key of before nothing opens', async (t) => {
  const { store, path } = await openTestStore(t)
  await store.putSecret('default', 'a', CANARY, actAt())
  await using other = await openSqliteStore(path, storeOptions('file-other'))
  await assert.rejects(other.getSecret('default', 'a'), { code: 'STORE', message: /master key/ })
  const sameName = { ...storeOptions('file-other'), wrappers: () => wrappersNamed('file-test') }
  await using forged = await openSqliteStore(path, sameName)
  await assert.rejects(forged.getSecret('default', 'a'), { code: 'STORE' })
})

function wrappersNamed(name: string) {
  return storeOptions('file-other')
    .wrappers()
    .map((wrapper) => ({ ...wrapper, name }))
}

test('a longer secret than 64 KiB is refused', async (t) => {
  const { store } = await openTestStore(t)
  await assert.rejects(store.putSecret('default', 'a', Buffer.alloc(65_537), actAt()), { code: 'CONFIG' })
})

test('the master key file is private, is made once, and is missed afterwards', async (t) => {
  const directory = await temporaryDirectory(t)
  const options = { directory, effects: realEffects }
  const first = await openMasterKeys({ ...options, isFirstRun: true })
  const path = join(directory, 'master.key')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const again = await openMasterKeys({ ...options, isFirstRun: false })
  assert.deepEqual(
    again.wrappers().map(({ name }) => name),
    first.wrappers().map(({ name }) => name),
  )
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace(/[A-Za-z0-9]=\n$/, 'A=\n').replace(/ [0-9a-f]{8} /, ' 00000000 '))
  await assert.rejects(openMasterKeys({ ...options, isFirstRun: false }), {
    code: 'STORE',
    message: /damaged/,
  })
  await chmod(path, 0o640)
  await assert.rejects(openMasterKeys({ ...options, isFirstRun: false }), { code: 'PERMISSIONS' })
  const empty = { directory: await temporaryDirectory(t), effects: realEffects, isFirstRun: false }
  await assert.rejects(openMasterKeys(empty), { code: 'STORE', message: /missing/ })
})

test('a new master key wraps the same keys, and a crash before its end loses none', async (t) => {
  const directory = await temporaryDirectory(t)
  const master = await openMasterKeys({ directory, effects: realEffects, isFirstRun: true })
  const path = join(directory, 'relay.db')
  await using store = await openSqliteStore(path, { effects: realEffects, wrappers: () => master.wrappers() })
  await store.putSecret('default', 'a', CANARY, actAt())
  const opensWith = async () => {
    const file = await MasterKeyFile.read(directory, realEffects)
    const wrappers = file?.wrappers() ?? []
    await using again = await openSqliteStore(path, { effects: realEffects, wrappers: () => wrappers })
    assert.deepEqual((await again.getSecret('default', 'a'))?.reveal(), CANARY)
    return wrappers.map(({ name }) => name)
  }
  const [before] = await opensWith()
  // The rotation ends half-way: the new key is in the file, and nothing was wrapped with it.
  await assert.rejects(
    master.rotate(() => Promise.reject(new Error('crash'))),
    /crash/,
  )
  const between = await opensWith()
  assert.equal(between.length, 2)
  assert.equal(between[1], before)
  await master.rotate(() => store.rewrapKeys('default'))
  const after = await opensWith()
  assert.equal(after.length, 1)
  assert.equal(after.includes(String(before)), false)
})

test('a key command wraps by its standard input and output, and nothing secret is in its arguments', async (t) => {
  const directory = await temporaryDirectory(t)
  const program = join(directory, 'kms')
  const seen = join(directory, 'seen')
  // A key service that is none: it turns the text round.
  await writeFile(
    program,
    `#!${process.execPath}
const { readFileSync, appendFileSync } = require('node:fs')
const { data, context } = JSON.parse(readFileSync(0, 'utf8'))
appendFileSync(${JSON.stringify(seen)}, process.argv.slice(2).join(' ') + ' ' + context + '\\n')
const bytes = Buffer.from(data, 'base64').reverse()
process.stdout.write(JSON.stringify({ data: bytes.toString('base64') }))
`,
    { mode: 0o700 },
  )
  const wrapper = commandWrapper(program)
  const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i))
  const wrapped = await wrapper.wrap(key, ['a', 1])
  assert.deepEqual(Buffer.from(wrapped), Buffer.from(key).reverse())
  assert.deepEqual(await wrapper.unwrap(wrapped, ['a', 1]), key)
  assert.equal(await readFile(seen, 'utf8'), 'wrap ["a",1]\nunwrap ["a",1]\n')
})

test('a key command that fails, answers rubbish or too much, or is not there is a failure of the store', async (t) => {
  const directory = await temporaryDirectory(t)
  const bodies = {
    fails: 'exit 3',
    rubbish: 'echo hello',
    short: `cat > /dev/null; echo '{"data":"AAAA"}'`,
    endless: 'yes',
  }
  for (const [name, body] of Object.entries(bodies)) {
    const program = join(directory, name)
    await writeFile(program, `#!/bin/sh\n${body}\n`, { mode: 0o700 })
    await assert.rejects(commandWrapper(program).unwrap(Buffer.alloc(40), []), { code: 'STORE' }, name)
  }
  await assert.rejects(commandWrapper(join(directory, 'none')).unwrap(Buffer.alloc(40), []), {
    code: 'STORE',
  })
})

test('what is sealed does not open with another belonging or one bit changed', () => {
  const key = Buffer.alloc(32, 7)
  const sealed = seal(key, ['t', 1], CANARY, realEffects)
  assert.deepEqual(unseal(key, ['t', 1], sealed), CANARY)
  assert.throws(() => unseal(key, ['t', 2], sealed), { code: 'STORE' })
  for (let i = 0; i < sealed.length; i++) {
    const changed = Buffer.from(sealed)
    changed[i] = (changed[i] ?? 0) ^ 1
    assert.throws(() => unseal(key, ['t', 1], changed), { code: 'STORE' })
  }
  assert.throws(() => unseal(key, ['t', 1], sealed.subarray(0, 10)), { code: 'STORE' })
})
