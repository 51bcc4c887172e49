import assert from 'node:assert/strict'
import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openAuthority } from '../../../relay/authority/authority.ts'
import { ensureServerCertificate } from '../../../relay/authority/server-certificate.ts'
import { writeBackup } from '../../../relay/backup/backup.ts'
import { Backups } from '../../../relay/backup/backups.ts'
import { restoreBackup } from '../../../relay/backup/restore.ts'
import { backUpToday } from '../../../relay/backup/schedule.ts'
import { SealedWriter } from '../../../relay/backup/sealed-file.ts'
import { realEffects } from '../../../shared/effects.ts'
import { Secret } from '../../../shared/secret.ts'
import { actAt } from '../../support/acts.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { recordLog } from '../../support/recorded-log.ts'
import { temporaryDirectory } from '../store/store-fixture.ts'

const PASSPHRASE = new Secret('correct horse battery')
const signal = new AbortController().signal

async function madeBackup(t: TestContext) {
  const root = await temporaryDirectory(t)
  const directory = join(root, 'relay')
  const { store, authority } = await openAuthority({ directory, effects: realEffects })
  await ensureServerCertificate(join(directory, 'tls'), authority, ['relay.example.org'], realEffects)
  await store.putSecret('default', 'totp/ann', Buffer.from('seed'), actAt())
  const path = join(root, 'one.backup')
  const request = {
    directory,
    path,
    passphrase: PASSPHRASE,
    withMasterKey: true,
    effects: realEffects,
    cost: 2,
  }
  await writeBackup({ ...request, signal })
  await store[Symbol.asyncDispose]()
  const restore = (from: string, passphrase = PASSPHRASE) =>
    restoreBackup({
      path: from,
      directory: join(root, 'new'),
      passphrase,
      effects: realEffects,
      cost: 2,
      signal,
    })
  /** Nothing of a restore is left. */
  const isClean = async () =>
    (await readdir(root)).every((name) => name !== 'new' && !name.startsWith('.restore'))
  return { root, directory, path, request, restore, isClean }
}

test('what was backed up is there again, with its secrets', async (t) => {
  const { root, path, restore } = await madeBackup(t)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  await restore(path)
  const { store } = await openAuthority({ directory: join(root, 'new'), effects: realEffects })
  t.after(() => store[Symbol.asyncDispose]())
  assert.equal((await store.getSecret('default', 'totp/ann'))?.reveal().toString(), 'seed')
})

test('a backup leaves no copy behind and never replaces a file', async (t) => {
  const { directory, path, request } = await madeBackup(t)
  const before = await readFile(path)
  await assert.rejects(writeBackup({ ...request, signal }), { code: 'CONFLICT' })
  assert.deepEqual(await readFile(path), before)
  assert.deepEqual(
    (await readdir(directory)).filter((name) => name.startsWith('.')),
    [],
  )
  const short = { ...request, path: `${path}.2`, passphrase: new Secret('short') }
  await assert.rejects(writeBackup({ ...short, signal }), { code: 'USAGE' })
})

test('without its master key a backup is restored only where another keeps it', async (t) => {
  const { root, directory, path, request, restore, isClean } = await madeBackup(t)
  await writeBackup({ ...request, path: `${path}.2`, withMasterKey: false, signal })
  await assert.rejects(restore(`${path}.2`), { code: 'STORE' })
  assert.ok(await isClean())
  await restoreBackup({
    ...{ ...request, path: `${path}.2`, directory: join(root, 'new'), signal },
    masterKey: join(directory, 'master.key'),
  })
  assert.ok((await readdir(join(root, 'new'))).includes('master.key'))
})

test('a directory with something in it is left alone', async (t) => {
  const { root, path, restore } = await madeBackup(t)
  await mkdir(join(root, 'new'))
  await writeFile(join(root, 'new', 'mine'), 'x')
  await assert.rejects(restore(path), { code: 'CONFLICT' })
  assert.deepEqual(await readdir(join(root, 'new')), ['mine'])
})

test('a backup that was cut off, changed, lengthened or sealed by another changes nothing', async (t) => {
  const { root, path, restore, isClean } = await madeBackup(t)
  const good = await readFile(path)
  const flipped = (at: number) => {
    const bytes = Buffer.from(good)
    bytes[at] = (bytes[at] ?? 0) ^ 1
    return bytes
  }
  const hostile = [
    Buffer.alloc(0),
    Buffer.from('not a backup at all, but long enough for a header'),
    ...[10, 35, 39, 1_000, good.length - 1].map((length) => good.subarray(0, length)),
    ...[0, 20, 35, 38, 50, 70_000, good.length - 1].map(flipped),
    Buffer.concat([good, Buffer.from('x')]),
    // Without its last chunk.
    good.subarray(0, 35 + 65_556),
  ]
  for (const [index, bytes] of hostile.entries()) {
    const bad = join(root, `bad-${index}`)
    await writeFile(bad, bytes)
    await assert.rejects(restore(bad), { code: 'BACKUP' }, `${index}`)
    assert.ok(await isClean(), `${index}`)
  }
  await assert.rejects(restore(path, new Secret('another passphrase')), { code: 'BACKUP' })
  assert.ok(await isClean())
})

test('S06: names that lead elsewhere, sizes that lie and files twice change nothing, though sealed rightly', async (t) => {
  const { root, restore, isClean } = await madeBackup(t)
  const entry = (name: string, size: bigint | number = 1, body = 'x') => {
    const head = Buffer.alloc(2)
    head.writeUInt16BE(Buffer.byteLength(name))
    const length = Buffer.alloc(8)
    length.writeBigUInt64BE(BigInt(size))
    return Buffer.concat([head, Buffer.from(name), length, Buffer.from(body)])
  }
  const names = [
    ...['../evil', 'ca/../../evil', '/etc/evil', 'ca/..', 'ca/.hidden', '..', '.', 'relay.db/../evil'],
    ...['ca/a/b', 'ca\\..\\evil', 'ca/a\0b', '..%2fevil', 'other', `ca/${'a'.repeat(300)}`, 'C:\\evil'],
  ]
  const hostile = [
    ...names.map((name) => [entry(name)]),
    [entry('relay.db', 2n ** 63n)],
    [entry('relay.db', 1n << 40n)],
    [entry('ca/key.pem', 70_000)],
    [entry('ca/key.pem'), entry('ca/key.pem')],
    [entry('relay.db'), Buffer.alloc(2), Buffer.from('more')],
    [entry('relay.db'), Buffer.alloc(2)],
    [entry('ca/key.pem', 5, 'x')],
  ]
  for (const [index, parts] of hostile.entries()) {
    const path = join(root, `evil-${index}`)
    const file = await open(path, 'wx')
    const writer = await SealedWriter.begin(file, PASSPHRASE, Buffer.alloc(16), 2)
    for (const part of parts) await writer.write(part)
    await writer.end()
    await file.close()
    await assert.rejects(restore(path), { code: 'BACKUP' }, `${index}`)
    assert.ok(await isClean(), `${index}`)
  }
  assert.ok(!(await readdir(root)).includes('evil'))
})

test('one backup a day, and those that are no longer kept go', async (t) => {
  const { root, directory } = await madeBackup(t)
  const into = join(root, 'backups')
  const effects = new FakeEffects({ date: Date.UTC(2026, 10, 22, 23, 50) })
  const told: string[] = []
  const options = {
    ...{ backups: new Backups({ directory, into, passphrase: PASSPHRASE }, effects), effects },
    log: recordLog().log,
    audit: ({ action, object, outcome }: { action: string; object: string; outcome: string }) =>
      told.push(`${action} ${object} ${outcome}`),
  }
  assert.equal(await backUpToday(options, signal), true)
  assert.equal(await backUpToday(options, signal), false)
  for (let day = 1; day <= 20; day++)
    await writeFile(join(into, `sallyport-2026-10-${`${day}`.padStart(2, '0')}.backup`), '')
  effects.advance(20 * 60_000)
  assert.equal(await backUpToday(options, signal), true)
  const files = await readdir(into)
  assert.ok(files.includes('sallyport-2026-11-23.backup') && files.includes('sallyport-2026-11-22.backup'))
  assert.equal(files.length, 2 + 12 + 1)
  const removed = told.filter((line) => line.startsWith('backup.remove '))
  assert.equal(removed.length, 20 + 2 - files.length)
  assert.deepEqual(
    told.filter((line) => !removed.includes(line)),
    ['2026-11-22', '2026-11-23'].map((day) => `backup.make sallyport-${day}.backup OK`),
  )
})
