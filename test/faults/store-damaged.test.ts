import assert from 'node:assert/strict'
import { copyFile, mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { openDatabase } from '../../relay/store/sqlite-file.ts'
import { isTunnelError } from '../../shared/errors.ts'
import { startKit } from '../support/relay-kit.ts'

/**
 * F21: a store that was damaged. The relay refuses to start with what to do, or starts with all that was said to be done: an
 * empty store would have forgotten every revocation. Single faults are in test/relay/store/sqlite-file.test.ts.
 */

const SITES = 30
const PAGE_BYTES = 4_096

describe('F21: a store that was damaged', () => {
  let root: string
  let sound: string

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'sallyport-damage-'))
    sound = join(root, 'sound.db')
    const kit = await startKit()
    for (let site = 0; site < SITES; site++) await kit.joinString(`site-${site}`)
    // As a crash leaves it: the last changes are in the write-ahead log only.
    await copyFile(join(kit.directory, 'relay.db'), sound)
    await copyFile(join(kit.directory, 'relay.db-wal'), `${sound}-wal`)
    await kit[Symbol.asyncDispose]()
  })

  after(() => rm(root, { recursive: true, force: true }))

  /** A copy of the store as it was, for a test to damage. */
  const copy = async (name: string, withLog = true) => {
    const path = join(root, `${name}.db`)
    await copyFile(sound, path)
    if (withLog) await copyFile(`${sound}-wal`, `${path}-wal`)
    return path
  }

  /** To how many sites the store knows a way in, or undefined where it refused to open with a hint. */
  const sitesOf = async (path: string): Promise<number | undefined> => {
    try {
      using db = await openDatabase(path)
      return Number(db.prepare('SELECT count(*) AS sites FROM join_tokens').get()?.sites)
    } catch (error) {
      assert.ok(isTunnelError(error) && error.code === 'STORE', String(error))
      assert.match(error.next, /restore/)
      return undefined
    }
  }

  it('F21: with its write-ahead log knows all that was said to be done', async () => {
    assert.equal(await sitesOf(await copy('whole')), SITES)
  })

  it('F21: with a log that was cut anywhere knows a begin of it, and goes on', async () => {
    const { size } = await stat(`${sound}-wal`)
    let last = 0
    for (let length = 0; length <= size; length += Math.ceil(size / 12)) {
      const path = await copy(`cut-${length}`)
      await truncate(`${path}-wal`, length)
      const sites = await sitesOf(path)
      // With nothing of the log there may not even be a schema in the file: then it must not open.
      assert.ok(sites === undefined || sites >= last, `${sites} sites after ${last}`)
      last = sites ?? last
    }
    assert.ok(last > 0)
  })

  it('F21: with a page of rubbish in any place refuses, or has lost nothing', async () => {
    const merged = await copy('merged')
    const db = new DatabaseSync(merged)
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    db.close()
    const bytes = await readFile(merged)
    let refusals = 0
    for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
      const path = join(root, `page-${at}.db`)
      await writeFile(path, bytes, { mode: 0o600 })
      await using file = await open(path, 'r+')
      await file.write(Buffer.alloc(PAGE_BYTES, 0xa5), 0, PAGE_BYTES, at)
      const sites = await sitesOf(path)
      if (sites === undefined) refusals++
      else assert.equal(sites, SITES)
    }
    assert.ok(refusals > (bytes.length / PAGE_BYTES) * 0.5, `${refusals} refusals`)
  })
})
