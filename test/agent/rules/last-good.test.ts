import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { allow, deny } from '../../../agent/rules/edit.ts'
import { lastGoodFile, lastGoodPath } from '../../../agent/rules/last-good.ts'
import { makeRule, parseRules } from '../../../agent/rules/parse.ts'

const TEXT = 'version = 1\n'

async function rulesIn(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'last-good-'))
  t.after(() => rm(directory, { recursive: true }))
  return join(directory, 'rules.toml')
}

test('the copy is there for its owner alone, and goes when it is forgotten', async (t) => {
  const path = await rulesIn(t)
  const copy = lastGoodFile(path)
  assert.equal(await copy.read(), undefined)
  await copy.keep(undefined)
  await copy.keep(TEXT)
  assert.equal(await copy.read(), TEXT)
  assert.equal((await stat(lastGoodPath(path))).mode & 0o777, 0o600)
  await copy.keep(undefined)
  assert.equal(await copy.read(), undefined)
})

test('the same text is not written again', async (t) => {
  const path = await rulesIn(t)
  const copy = lastGoodFile(path)
  await copy.keep(TEXT)
  const { ino } = await stat(lastGoodPath(path))
  await copy.keep(TEXT)
  assert.equal((await stat(lastGoodPath(path))).ino, ino)
})

test('a copy that others could have written, or a link, is not read, and is replaced', async (t) => {
  const path = await rulesIn(t)
  const copy = lastGoodFile(path)
  await copy.keep(TEXT)
  await chmod(lastGoodPath(path), 0o666)
  await assert.rejects(copy.read(), { code: 'PERMISSIONS' })
  await copy.keep(TEXT)
  assert.equal(await copy.read(), TEXT)
  await rm(lastGoodPath(path))
  await writeFile(`${path}.other`, TEXT, { mode: 0o600 })
  await symlink(`${path}.other`, lastGoodPath(path))
  await assert.rejects(copy.read(), { code: 'PERMISSIONS' })
})

test('where the new text cannot be kept, the old one is forgotten or the failure is said', async (t) => {
  const path = await rulesIn(t)
  await mkdir(lastGoodPath(path))
  await assert.rejects(lastGoodFile(path).keep(TEXT))
})

test('a rule that a command takes away while nothing runs does not come back from the copy', async (t) => {
  const path = await rulesIn(t)
  await allow(path, makeRule('a', { protocol: 'tcp', host: 'h', port: 1 }))
  const copy = lastGoodFile(path)
  await copy.keep(TEXT)
  await allow(path, makeRule('b', { protocol: 'tcp', host: 'h', port: 1 }))
  await deny(path, 'a')
  assert.deepEqual([...parseRules((await copy.read()) ?? '').keys()], ['b'])
})
