import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { sallyport, startSallyport } from '../support/command-line.ts'

interface Line {
  readonly action?: string
  readonly outcome?: string
  readonly seq?: number
  readonly tenant?: string
  readonly holds?: boolean
  readonly fault?: { readonly seq: number; readonly kind: string }
  readonly error?: { readonly code: string; readonly exit: number }
}

describe('the audit chain, from the command line', () => {
  let root: string
  let data: readonly string[]

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'sallyport-audit-'))
    data = ['--data', join(root, 'relay')]
  })

  after(() => rm(root, { recursive: true, force: true }))

  const relayUp = async () => {
    const relay = startSallyport(['relay', 'up', ...data, '--listen', '127.0.0.1:0', '--json'])
    await relay.line()
    await relay.line()
    return relay
  }

  const lines = async (...args: string[]): Promise<Line[]> => {
    const { out } = await sallyport([...args, ...data, '--json'])
    return out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  }

  it('no administrative act that was answered is lost when the relay is killed, and the next start says that it was', async () => {
    const relay = await relayUp()
    const added = await sallyport(['relay', 'env', 'add', 'staging', ...data])
    assert.equal(added.status, 0, added.err)
    process.kill(relay.pid, 'SIGKILL')
    await relay.stop()
    const again = await relayUp()
    assert.equal(await again.stop(), 0)
    const records = (await lines('audit', 'export')).map(({ action, outcome }) => `${action} ${outcome}`)
    assert.deepEqual(records, [
      'relay.start OK',
      'person.link OK',
      'environment.add OK',
      'relay.start SESSION_LOST',
      'person.link OK',
      'relay.stop OK',
    ])
    const verdicts = await lines('audit', 'verify')
    assert.deepEqual(
      verdicts.map(({ tenant, holds }) => `${tenant} ${holds}`),
      ['@relay true', 'default true'],
    )
  })

  it('list shows the newest first and pages on; a filter that can match nothing is refused', async () => {
    const page = await lines('audit', 'list', '--limit', '2')
    assert.deepEqual(
      page.map(({ seq }) => seq),
      [6, 5],
    )
    const next = await lines('audit', 'list', '--limit', '2', '--before', '5')
    assert.deepEqual(
      next.map(({ seq }) => seq),
      [4, 3],
    )
    const [found] = await lines('audit', 'list', '--action', 'environment.add', '--actor', 'operator')
    assert.equal(found?.seq, 3)
    for (const wrong of [
      ['--action', 'x'],
      ['--outcome', 'x'],
      ['--from', 'x'],
      ['--limit', '0'],
    ]) {
      const [refused] = await lines('audit', 'list', ...wrong)
      assert.equal(refused?.error?.code, 'CONFIG', wrong.join(' '))
    }
    const [nobody] = await lines('audit', 'list', '--tenant', 'nobody')
    assert.equal(nobody?.error?.code, 'NOT_FOUND')
  })

  it('an end that was cut with its checkpoints is shown by one that was kept elsewhere', async () => {
    const kept = join(root, 'kept.json')
    await writeFile(kept, (await sallyport(['audit', 'checkpoint', ...data])).out)
    const db = new DatabaseSync(join(root, 'relay/relay.db'))
    db.exec(`
      DELETE FROM audit_records WHERE tenant_id = 'default' AND seq > 2;
      DELETE FROM audit_checkpoints WHERE tenant_id = 'default' AND seq > 2`)
    db.close()
    assert.equal((await lines('audit', 'verify')).length, 2)
    const verdicts = await lines('audit', 'verify', '--checkpoint', kept)
    assert.deepEqual(verdicts[1]?.fault && [verdicts[1].fault.seq, verdicts[1].fault.kind], [3, 'cut'])
    assert.deepEqual([verdicts.at(-1)?.error?.code, verdicts.at(-1)?.error?.exit], ['AUDIT', 5])
  })
})
