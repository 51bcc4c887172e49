import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ResumeTally } from '../../../shared/tunnel/resume-tally.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

test('searches for a path are counted by what became of them, the last one with its time', () => {
  const effects = new FakeEffects({ date: 1_000 })
  const tally = new ResumeTally(effects)
  assert.deepEqual(tally.summary(), { resumed: 0, failed: {} })
  tally.note('OK')
  tally.note('AGENT_OFFLINE')
  tally.note('AGENT_OFFLINE')
  effects.advance(500)
  tally.note('GONE')
  assert.deepEqual(tally.summary(), {
    resumed: 1,
    failed: { AGENT_OFFLINE: 2, GONE: 1 },
    last: { at: 1_500, outcome: 'GONE' },
  })
})
