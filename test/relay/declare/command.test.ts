import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Running, sallyport, startSallyport } from '../../support/command-line.ts'

let base: string
let data: string
let file: string
let relay: Running

before(async () => {
  base = await mkdtemp(join(tmpdir(), 'sallyport-declared-'))
  data = join(base, 'relay')
  file = join(base, 'relay.toml')
  relay = startSallyport(['relay', 'up', '--data', data, '--listen', '127.0.0.1:0', '--name', 'localhost'])
  while ((await relay.text()) !== 'ready');
})

after(async () => {
  await relay[Symbol.asyncDispose]()
  await rm(base, { recursive: true, force: true })
})

const run = (...words: readonly string[]) => sallyport([...words, '--data', data])

describe('plan, apply and export', () => {
  it('take a relay from a file to the same file', async () => {
    const exported = await run('export')
    assert.deepEqual([exported.status, exported.err], [0, ''])
    const connector = '\n[[tenants.default.connectors]]\nenvironment = "test"\nconnector = "app"\n'
    await writeFile(file, `${exported.out.replace('connectors = []\n', '')}${connector}`)
    const planned = await run('plan', file)
    assert.equal(planned.status, 8)
    assert.match(planned.out, /^ {2}\+ connectors {4}app in test$/m)
    assert.match(planned.err, /^DRIFT: /)
    const asked = await run('apply', file)
    assert.deepEqual([asked.status, /^USAGE: .*nobody can be asked/.test(asked.err)], [2, true])
    const other = await run('apply', file, '--plan', '0'.repeat(64))
    assert.deepEqual([other.status, /^CONFLICT: /.test(other.err)], [2, true])
    const [, digest = ''] = /^plan ([0-9a-f]{64})$/m.exec(planned.out) ?? []
    const made = await run('apply', file, '--plan', digest, '--out', base)
    assert.deepEqual([made.status, made.err], [0, ''])
    const credentials = join(base, 'default.test.app.credentials.json')
    assert.equal((await stat(credentials)).mode & 0o777, 0o600)
    assert.match(await readFile(credentials, 'utf8'), /PRIVATE KEY/)
    const again = await run('plan', file, '--drift')
    assert.deepEqual([again.status, again.out, again.err], [0, '', ''])
  })

  it('show by status and in JSON what somebody has changed by hand, and undo it', async () => {
    await run('relay', 'lockout', '7')
    const drifted = await run('plan', file, '--drift', '--json')
    assert.equal(drifted.status, 8)
    const [shown = '', failure = ''] = drifted.out.trimEnd().split('\n')
    const { tenants } = JSON.parse(shown) as { tenants: { changes: object[] }[] }
    assert.deepEqual(tenants[0]?.changes, [
      {
        action: 'change',
        section: 'settings',
        name: 'tenant',
        fields: [{ field: 'lockoutFailures', from: 7, to: 10 }],
      },
    ])
    assert.equal(JSON.parse(failure).error.code, 'DRIFT')
    assert.equal((await run('apply', file, '--yes', '--json')).status, 0)
    assert.equal((await run('plan', file, '--drift')).status, 0)
    const unreadable = await run('plan', join(base, 'none.toml'))
    assert.deepEqual([unreadable.status, /^USAGE: /.test(unreadable.err)], [2, true])
  })
})
