import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { auditDirectory, auditFiles, readAgentChain } from '../../../agent/audit/read.ts'
import type { AgentRecord } from '../../../agent/audit/record.ts'
import { AGENT_TRAIL_LIMITS, AgentTrail, type AgentTrailOptions } from '../../../agent/audit/trail.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { recordLog } from '../../support/recorded-log.ts'

const OPEN = { action: 'stream.open', object: 'db', opener: 'connector:app', outcome: 'OK' } as const

async function kit(t: TestContext, limits: AgentTrailOptions['limits'] = {}) {
  const data = await temporaryDirectory(t)
  const directory = auditDirectory(data)
  const effects = new FakeEffects()
  const log = recordLog()
  const open = (agentId = 'a1') => AgentTrail.open({ data, agentId, effects, log: log.log, limits })
  const records = async () => {
    const all: AgentRecord[] = []
    for await (const record of readAgentChain(directory)) all.push(record)
    return all
  }
  const actions = async () => (await records()).map(({ seq, action, object }) => `${seq} ${action} ${object}`)
  return { directory, effects, log, open, records, actions }
}

test('records are on the disk within a second, and the chain goes on after a restart', async (t) => {
  const { open, effects, actions } = await kit(t)
  const first = await open()
  first.audit(OPEN)
  effects.advance(AGENT_TRAIL_LIMITS.waitMs - 1)
  assert.deepEqual(await actions(), [])
  effects.advance(1)
  await first.flush()
  assert.deepEqual(await actions(), ['1 agent.join a1', '2 stream.open db'])
  await first.stop()
  const second = await open()
  second.audit(OPEN)
  await second.stop()
  const rest = ['3 agent.stop ', '4 stream.open db', '5 agent.stop ']
  assert.deepEqual((await actions()).slice(2), rest)
})

test('a line that a crash left half is taken off', async (t) => {
  const { open, directory, actions } = await kit(t)
  await (await open()).stop()
  const [path = ''] = await auditFiles(directory)
  await appendFile(path, '{"seq":3,"act')
  await (await open()).stop()
  assert.deepEqual(await actions(), ['1 agent.join a1', '2 agent.stop ', '3 agent.stop '])
})

test('files follow each other in one chain; the oldest go', async (t) => {
  const { open, directory, records } = await kit(t, { fileBytes: 600, files: 3 })
  const trail = await open()
  for (let i = 0; i < 20; i++) {
    trail.audit(OPEN)
    await trail.flush()
  }
  await trail.stop()
  assert.equal((await auditFiles(directory)).length, 3)
  const all = await records()
  assert.ok((all[0]?.seq ?? 0) > 1)
  assert.equal(all.at(-1)?.seq, 22)
})

test('who joins anew begins a file that says so, in the same chain', async (t) => {
  const { open, directory, actions } = await kit(t)
  await (await open('a1')).stop()
  await (await open('a2')).stop()
  await (await open('a2')).stop()
  assert.equal((await auditFiles(directory)).length, 2)
  assert.deepEqual((await actions()).slice(2), ['3 agent.join a2', '4 agent.stop ', '5 agent.stop '])
})

test('S37: a record that was changed, taken out or put elsewhere is named', async (t) => {
  const { open, directory, records, log } = await kit(t)
  const trail = await open()
  for (const object of ['a', 'b', 'c']) trail.audit({ ...OPEN, object })
  await trail.stop()
  const [path = ''] = await auditFiles(directory)
  const good = await readFile(path, 'utf8')
  const lines = good.split('\n')
  const changes: readonly (readonly [string, RegExp])[] = [
    [good.replace('"object":"b"', '"object":"x"'), /Record 3 is not what was written/],
    [lines.filter((_, i) => i !== 3).join('\n'), /Record 3 is missing/],
    [lines.filter((_, i) => i !== 1).join('\n'), /Record 1 is missing/],
    [good.replace('"before":"00', '"before":"11'), /Record 1 is missing/],
    [good.replace('{"seq":2', '{"seq":"2'), /Record 2 is no record/],
  ]
  for (const [text, message] of changes) {
    assert.notEqual(text, good)
    await writeFile(path, text)
    await assert.rejects(records(), { code: 'AUDIT', message })
  }
  // The agent starts all the same, and says so.
  await (await open()).stop()
  assert.ok(log.records.some(({ msg }) => msg === 'the audit chain was changed'))
})

test('what cannot be kept leaves its number', async (t) => {
  const { open, records } = await kit(t, { queue: 5 })
  const trail = await open()
  for (let i = 0; i < 10; i++) trail.audit(OPEN)
  await trail.flush()
  await trail.stop()
  const lost = (await records()).filter(({ action }) => action === 'audit.lost')
  assert.deepEqual(
    lost.map(({ object }) => object),
    ['6'],
  )
})
