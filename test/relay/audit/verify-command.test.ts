import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { checkpoint, exportRecords } from '../../../relay/audit/show.ts'
import { type VerifyFlags, verify } from '../../../relay/audit/verify-command.ts'
import { createOutput } from '../../../shared/cli/output.ts'
import { actAt } from '../../support/acts.ts'
import { startKit } from '../../support/relay-kit.ts'
import { fakeTerminal } from '../../support/terminal.ts'

const { signal } = new AbortController()

let base: string
let data: string
let exported: string
let kept: string

/** Of one relay that has stopped: its data directory, an export and a checkpoint. */
before(async () => {
  base = await mkdtemp(join(tmpdir(), 'sallyport-export-'))
  await using kit = await startKit()
  for (const name of ['one', 'two']) {
    await kit.relay.authority.store.addEnvironment('default', name, false, actAt())
  }
  await kit.relay.stop()
  data = kit.directory
  const chain = { data, tenant: 'default', signal }
  const { stdout, out } = fakeTerminal()
  await exportRecords({ ...chain, output: outputOf().output, stdout })
  exported = out()
  const { output, out: printed } = outputOf()
  await checkpoint({ ...chain, output })
  kept = join(base, 'kept.json')
  await writeFile(kept, printed())
  await writeFile(join(base, 'ca.pem'), kit.relay.authority.authority.certificate.toString())
})

after(() => rm(base, { recursive: true, force: true }))

function outputOf() {
  const { stdout, stderr, out } = fakeTerminal()
  return { output: createOutput({ json: true, stdout, stderr }), out }
}

async function verdictOf(text: string, flags: Partial<VerifyFlags> = {}) {
  const { output, out } = outputOf()
  const stdin = Readable.from([Buffer.from(text)])
  const failed = await verify({ data: base, export: '-', signal, output, stdin, ...flags }).catch(
    (error) => error,
  )
  const verdict = out() === '' ? undefined : JSON.parse(out())
  return { verdict, code: failed?.code as string | undefined }
}

test('an export is verified without a relay, and what a checkpoint vouches for', async () => {
  const records = exported.trimEnd().split('\n').length
  const { verdict, code } = await verdictOf(exported, { checkpoint: kept, ca: join(base, 'ca.pem') })
  assert.deepEqual(verdict, { tenant: 'default', records, vouchedTo: records, holds: true })
  assert.equal(code, undefined)
  assert.equal((await verdictOf(exported)).verdict.vouchedTo, 0)
  const file = join(base, 'export.jsonl')
  await writeFile(file, exported)
  assert.equal((await verdictOf('', { export: file })).verdict.records, records)
})

test('an export in which a record was edited, left out or put elsewhere is told from a whole one', async () => {
  const lines = exported.trimEnd().split('\n')
  const [first = '', second = '', third = '', ...rest] = lines
  const at = async (...changed: string[]) => {
    const { verdict, code } = await verdictOf(changed.join('\n'))
    assert.equal(code, 'AUDIT')
    return [verdict.fault.seq, verdict.fault.kind]
  }
  assert.deepEqual(await at(first, second.replace('"OK"', '"IDLE"'), third, ...rest), [2, 'edited'])
  assert.deepEqual(await at(first, third, ...rest), [2, 'missing'])
  assert.deepEqual(await at(second, third), [1, 'missing'])
  assert.deepEqual(await at(first, third, second), [2, 'missing'])
  const cut = await verdictOf(first, { checkpoint: kept, ca: join(base, 'ca.pem') })
  assert.deepEqual([cut.verdict.fault.seq, cut.verdict.fault.kind], [2, 'cut'])
})

test('what is no export is refused by its line, and a checkpoint without what proves it, too', async () => {
  const [first = ''] = exported.split('\n')
  for (const text of [
    'tenant,seq\n',
    `${first}\n{}\n`,
    'x'.repeat(200_000),
    `${first}\n${first.slice(0, 40)}`,
  ]) {
    assert.deepEqual(await verdictOf(text), { verdict: undefined, code: 'CONFIG' })
  }
  assert.equal((await verdictOf('', { export: join(base, 'nothing') })).code, 'CONFIG')
  assert.equal((await verdictOf(exported, { checkpoint: kept })).code, 'NOT_FOUND')
  assert.equal((await verdictOf(exported, { tenant: 'default' })).code, 'USAGE')
  const foreign = await verdictOf(exported.replaceAll('"tenant":"default"', '"tenant":"other"'), {
    ...{ checkpoint: kept, ca: join(base, 'ca.pem') },
  })
  assert.equal(foreign.code, 'USAGE')
})
