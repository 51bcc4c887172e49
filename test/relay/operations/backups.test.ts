import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { backupsDownload } from '../../../relay/backup/commands.ts'
import { restoreBackup } from '../../../relay/backup/restore.ts'
import { createOutput } from '../../../shared/cli/output.ts'
import { realEffects } from '../../../shared/effects.ts'
import { Secret } from '../../../shared/secret.ts'
import { type ApiKit, startApiKit } from '../../support/api-kit.ts'
import { storeLogin } from '../../support/stored-login.ts'
import { fakeTerminal } from '../../support/terminal.ts'

const PASSPHRASE = new Secret('a passphrase of some length')
const { signal } = new AbortController()

let api: ApiKit
let base: string
let into: string
let token: string

before(async () => {
  base = await mkdtemp(join(tmpdir(), 'sallyport-backups-'))
  into = join(base, 'backups')
  process.env.XDG_CONFIG_HOME = base
  api = await startApiKit({ backups: { into, passphrase: PASSPHRASE } })
  token = ((await api.kit.command('operator.add', { name: 'laptop' })) as { token: string }).token
})

after(async () => {
  await api[Symbol.asyncDispose]()
  await rm(base, { recursive: true, force: true })
})

test('a backup is made, listed and fetched over the API by the operator, and a relay is restored from it', async () => {
  const made = await api.ask('POST', '/backups', { token, body: {} })
  assert.equal(made.status, 200, made.text)
  const { items } = (await api.ask('GET', '/backups', { token })).body as { items: { backup: string }[] }
  assert.deepEqual(
    items.map(({ backup }) => backup),
    [made.body.backup],
  )
  const name = String(made.body.backup)
  const { stdout, stderr } = fakeTerminal()
  const out = join(base, 'fetched.backup')
  const relay = await storeLogin(api, token)
  await backupsDownload({ relay, name, out, signal, output: createOutput({ json: true, stdout, stderr }) })
  assert.deepEqual(await readFile(out), await readFile(join(into, name)))
  const directory = join(base, 'restored')
  await restoreBackup({ path: out, directory, passphrase: PASSPHRASE, effects: realEffects, signal })
  await api.kit.relay.trail.flush()
  const { records } = await api.kit.relay.authority.store.readAudit('@relay', {
    ...{ order: 'oldest', limit: 10, filter: { object: name } },
  })
  assert.deepEqual(
    records.map(({ action, actor }) => `${action} ${actor.kind}`),
    ['backup.make operator', 'backup.download operator'],
  )
})

test('what is not a name of a backup is not found, whatever lies there, and nobody of a tenant gets one', async () => {
  await writeFile(join(into, 'secret'), 'secret')
  for (const name of ['secret', 'nothing', '%2E%2E', 'sallyport-2026-01-01.backup']) {
    assert.equal((await api.ask('GET', `/backups/${name}`, { token })).status, 404, name)
  }
  const owner = api.callers.withRole('owner')
  for (const [method, path] of [
    ['GET', '/backups'],
    ['POST', '/backups'],
    ['POST', '/backups/prune'],
  ] as const) {
    const ask = { token: owner, ...(method === 'POST' ? { body: {} } : {}) }
    assert.equal((await api.ask(method, path, ask)).status, 404, path)
  }
})

test('those that are no longer kept go when that is asked, and a day has so many at most', async () => {
  const old = Array.from({ length: 20 }, (_, i) => `sallyport-2020-01-${`${i + 1}`.padStart(2, '0')}.backup`)
  for (const name of [...old, 'sallyport-2020-01-01-120000.backup']) await writeFile(join(into, name), '')
  const { removed } = (await api.ask('POST', '/backups/prune', { token, body: {} })).body as {
    removed: string[]
  }
  assert.ok(removed.includes('sallyport-2020-01-01-120000.backup') && removed.includes(old[0] ?? ''))
  assert.ok(!removed.includes(old.at(-1) ?? ''))
  const day = new Date().toISOString().slice(0, 10)
  for (let i = 0; i < 24; i++) await writeFile(join(into, `sallyport-${day}-0000${i + 10}.backup`), '')
  assert.equal((await api.ask('POST', '/backups', { token, body: {} })).body.code, 'CONFLICT')
})

test('a relay that keeps no backups says how it would', async () => {
  await using other = await startApiKit()
  await assert.rejects(other.kit.command('backup.make', {}), { code: 'CONFIG', next: /--backup-dir/ })
})
