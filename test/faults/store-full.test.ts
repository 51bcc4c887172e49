import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { it } from 'node:test'
import { type ColumnType, Kysely } from 'kysely'
import { sqliteDialect } from '../../relay/store/sqlite-dialect.ts'
import { Statements } from '../../relay/store/sqlite-statements.ts'
import { realFileSteps, writePrivateFile } from '../../shared/config/private-file.ts'

/** F20: a disk that is full, in small; test/faults/disk-full.ts fills one. */

interface Tables {
  readonly notes: { readonly text: ColumnType<string> }
}

it('F20: a change that the disk has no room for fails with that reason, and later ones work', async () => {
  const file = new DatabaseSync(':memory:')
  file.exec('CREATE TABLE notes (text TEXT); PRAGMA max_page_count = 3')
  await using db = new Kysely<Tables>({ dialect: sqliteDialect({ reader: new Statements(file) }) })
  const write = (text: string) =>
    db.transaction().execute((change) => change.insertInto('notes').values({ text }).execute())
  await assert.rejects(write('x'.repeat(1_000_000)), { code: 'STORE', detail: /full/ })
  await write('short')
  assert.equal((await db.selectFrom('notes').selectAll().execute()).length, 1)
})

it('F20: a file that the disk has no room for says so, and who must act is where the disk is', async () => {
  for (const code of ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS']) {
    const fault = Object.assign(new Error(code), { code })
    const steps = { ...realFileSteps, create: () => Promise.reject(fault) }
    await assert.rejects(writePrivateFile('/nowhere/rules.toml', 'x', steps), {
      code: 'DISK',
      leg: 'local',
      detail: `/nowhere/rules.toml: ${code}`,
    })
  }
})
