import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  checkPrivateDirectory,
  type FileSteps,
  makePrivateDirectory,
  readPrivateFile,
  realFileSteps,
  writePrivateFile,
} from '../../../shared/config/private-file.ts'

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sallyport-test-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

const broken = new Error('the disk is full')

test('a private file has mode 0600 and the content', async (t) => {
  const path = join(await directory(t), 'key')
  await writePrivateFile(path, 'one')
  await writePrivateFile(path, 'two')
  assert.equal(await readPrivateFile(path), 'two')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
})

for (const step of ['create', 'write', 'sync', 'rename'] as const) {
  test(`a failing ${step} leaves the old content and nothing beside it`, async (t) => {
    const path = await directory(t)
    await writePrivateFile(join(path, 'key'), 'old')
    const steps: FileSteps = { ...realFileSteps, [step]: () => Promise.reject(broken) }
    await assert.rejects(writePrivateFile(join(path, 'key'), 'new', steps), broken)
    assert.equal(await readFile(join(path, 'key'), 'utf8'), 'old')
    assert.deepEqual(await readdir(path), ['key'])
  })
}

test('the content is on the disk before it gets its name, and the name before the call ends', async (t) => {
  const path = join(await directory(t), 'key')
  const order: string[] = []
  const { create, write, sync, rename, syncDirectory } = realFileSteps
  await writePrivateFile(path, 'new', {
    create: (name) => note('create', create(name)),
    write: (file, data) => note('write', write(file, data)),
    sync: (file) => note('sync', sync(file)),
    rename: (from, to) => note('rename', rename(from, to)),
    syncDirectory: (name) => note('syncDirectory', syncDirectory(name)),
  })
  function note<T>(step: string, result: Promise<T>): Promise<T> {
    order.push(step)
    return result
  }
  assert.deepEqual(order, ['create', 'write', 'sync', 'rename', 'syncDirectory'])
})

test('a file that others can read is refused with its mode', async (t) => {
  const path = join(await directory(t), 'key')
  await writeFile(path, 'secret')
  await chmod(path, 0o640)
  await assert.rejects(readPrivateFile(path), { code: 'PERMISSIONS', message: /0640/ })
})

test('a file over the limit, a directory and a missing file are refused', async (t) => {
  const path = await directory(t)
  await writePrivateFile(join(path, 'key'), 'x'.repeat(11))
  await assert.rejects(readPrivateFile(join(path, 'key'), { maxBytes: 10 }), { code: 'PERMISSIONS' })
  assert.equal((await readPrivateFile(join(path, 'key'), { maxBytes: 11 })).length, 11)
  await assert.rejects(readPrivateFile(path), { code: 'PERMISSIONS' })
  await assert.rejects(readPrivateFile(join(path, 'none')), { code: 'NOT_FOUND' })
})

test('a private directory is made with mode 0700, parents too', async (t) => {
  const path = join(await directory(t), 'a', 'b')
  await makePrivateDirectory(path)
  assert.equal((await stat(path)).mode & 0o777, 0o700)
  await makePrivateDirectory(path)
})

test('a directory that others can enter is refused, not mended', async (t) => {
  const path = join(await directory(t), 'open')
  await mkdir(path)
  await chmod(path, 0o755)
  await assert.rejects(makePrivateDirectory(path), { code: 'PERMISSIONS', message: /0755/ })
  assert.equal((await stat(path)).mode & 0o777, 0o755)
  await assert.rejects(checkPrivateDirectory(join(path, 'none')), { code: 'NOT_FOUND' })
})
